"""Retention by all services together: who nothing permits to hold is erased everywhere, and audit logs begin later and hold."""

import uuid

from installation import wait_for

EXAMPLES = False

CONSENT = """
purposes:
  marketing: {name: Marketing, legalBasis: consent, text: {version: "1"}}
  orders: {name: Orders, legalBasis: contract, text: {version: "1"}}
"""
NO_BASIS = """
noBasis:
  after: 7d
  mostPercent: 100
  contract: {events: [Order Completed], within: 30d}
"""
YAML = {"Content-Type": "application/yaml"}


def person(martlet, *events):
    user = f"person-{uuid.uuid4().hex[:10]}"
    martlet.collect("identify", {"userId": user, "traits": {"email": f"{user}@example.org"}})
    for event in events:
        martlet.collect("track", {"userId": user, "event": event, "properties": {"orderId": user}})
    return user


def found(martlet, user):
    return martlet.call("POST", "identity", "/v1/profiles/lookup", json={"type": "userId", "value": user})


def test_whoever_nothing_permits_to_hold_is_erased_by_every_service_and_nobody_else(martlet):
    martlet.call("PUT", "consent", "/v1/consent-policy", data=CONSENT, headers=YAML, expect=200)
    silent, granted, buyer = person(martlet, "Looked"), person(martlet), person(martlet, "Order Completed")
    martlet.drain()
    profiles = {user: found(martlet, user).json()["profileId"] for user in (silent, granted, buyer)}
    martlet.call("POST", "consent", "/v1/consents", expect=201, json={
        "subject": {"profileId": profiles[granted]}, "purpose": "marketing", "action": "grant", "source": "test"})
    trial = martlet.call("PUT", "consent", "/v1/retention?dryRun=true", data=NO_BASIS, headers=YAML, expect=200)
    assert trial["noBasis"] == {"people": 3, "withoutBasis": 0, "complete": True, "mostPercent": 100, "tooMany": False}
    martlet.call("PUT", "consent", "/v1/retention", data=NO_BASIS, headers=YAML, expect=200)
    martlet.advance("7d")
    martlet.advance("2h")

    def filed():
        return [one for one in martlet.items("consent", "/v1/privacy-requests") if one["reason"] == "noBasis"]

    request, = wait_for(filed, "the erasure to be filed", within=60)
    assert request["profileId"] == profiles[silent] and request["type"] == "erasure"
    martlet.drain()
    done = martlet.get("consent", f"/v1/privacy-requests/{request['id']}")
    assert done["state"] == "completed" and done["reason"] == "noBasis", done
    receipt = martlet.get("consent", f"/v1/privacy-requests/{request['id']}/receipt")
    assert len(receipt["stores"]) == 7
    assert [found(martlet, user).status_code for user in (silent, granted, buyer)] == [404, 200, 200]
    assert martlet.value("SELECT erased_at IS NOT NULL FROM profiles.profile WHERE profile_id = %s", profiles[silent])
    runs = wait_for(lambda: martlet.items("consent", "/v1/retention/runs", **{"class": "noBasis"}), "the run", within=60)
    assert [(run["service"], run["rows"]) for run in runs] == [("consent", 1)]
    # An order is a contract for its time.
    martlet.advance("40d")
    wait_for(lambda: len(filed()) == 2, "the buyer's erasure to be filed", within=60)
    martlet.drain()
    assert found(martlet, buyer).status_code == 404 and found(martlet, granted).status_code == 200


def test_audit_logs_begin_later_after_a_year_and_hold(martlet):
    martlet.call("PUT", "consent", "/v1/retention", data="keep: {audit: 366d}", headers=YAML, expect=200)
    user = person(martlet)
    martlet.drain()
    assert found(martlet, user).status_code == 200
    logs = ["ingestion", "identity", "consent", "segmentation", "recommendation", "journeys", "delivery", "platform"]

    def entries():
        return {log: martlet.value(f"SELECT count(*) FROM {log}.audit_entry") for log in logs}

    before = entries()
    assert before["identity"] > 0 and before["consent"] > 0 and before["platform"] > 0
    martlet.advance("367d")
    wait_for(lambda: martlet.value("SELECT count(*) FROM identity.audit_anchor") > 0
             and martlet.value("SELECT count(*) FROM consent.audit_anchor") > 0
             and martlet.value("SELECT count(*) FROM platform.audit_anchor") > 0, "the logs to be swept", within=90)
    assert "nothing wrong" in martlet.martlet("verify", "audit")
    assert entries()["platform"] < before["platform"]
    # What is asked from here on is recorded behind the anchor.
    found(martlet, user)
    assert entries()["identity"] > 0
    martlet.sql("UPDATE identity.audit_anchor SET position = position + 1")
    assert "anchor-altered" in martlet.martlet("verify", "audit", expect=1)
