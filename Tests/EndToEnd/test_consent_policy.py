"""A consent policy is heeded from the browser's header to what is stored, and over a merge."""

import uuid

import pytest

from installation import wait_for

EXAMPLES = False

POLICY = """
purposes:
  partners:
    name: Sharing with partners
    legalBasis: legitimateInterest
    saleOrSharing: true
    text: {version: "1", languages: {en: Partners may use what you look at.}}
  analytics:
    name: Statistics
    legalBasis: consent
    text: {version: "1"}
  transactional: {name: Orders, legalBasis: contract, text: {version: "1"}}
requires:
  events:
    Watched: {purposes: [analytics], otherwise: pseudonymous}
    Weighed: {purposes: [analytics], otherwise: count}
"""


@pytest.fixture(scope="module")
def policy(martlet):
    stored = martlet.call(
        "PUT", "consent", "/v1/consent-policy", data=POLICY, headers={"Content-Type": "application/yaml"}, expect=200)
    assert stored["version"] >= 1
    # Services that read it without a lock follow within two seconds; ingestion's events say when it has.
    def is_followed():
        return "consent" in track(martlet, "Weighed", {"anonymousId": uuid.uuid4().hex}).text
    wait_for(is_followed, "ingestion to follow the policy", within=20, every=0.2)
    return stored


def track(martlet, event, who, **headers):
    return martlet.http.post(
        f"{martlet.url('ingestion')}/v1/batch", auth=(martlet.write_key, ""), headers=headers, timeout=60, json={"batch": [
            {"type": "track", "messageId": str(uuid.uuid4()), "event": event, "properties": {"sku": "A"}, **who}]})


def standing(martlet, kind, value, purpose):
    profile = martlet.call("POST", "identity", "/v1/profiles/lookup", json={"type": kind, "value": value}, expect=200)
    held = martlet.get("consent", f"/v1/profiles/{profile['profileId']}/consents")
    found = [one for one in held["consents"] if one["purpose"] == purpose]
    return found[0] if found else None


def timeline(martlet, kind, value):
    answer = martlet.call("POST", "identity", "/v1/profiles/lookup", json={"type": kind, "value": value})
    if answer.status_code == 404:
        return []
    path = f"/v1/profiles/{answer.json()['profileId']}/timeline"
    return [entry["event"]["event"] for entry in martlet.items("identity", path)
            if entry.get("event") and entry["event"].get("event")]


def test_a_browser_that_says_no_is_heard_and_still_is_when_its_owner_is_known(martlet, policy):
    quiet, plain, user = uuid.uuid4().hex, uuid.uuid4().hex, f"gpc-{uuid.uuid4().hex[:8]}"
    assert track(martlet, "Looked", {"anonymousId": quiet}, **{"Sec-GPC": "1"}).status_code == 200
    assert track(martlet, "Looked", {"anonymousId": plain}, **{"Sec-GPC": "0"}).status_code == 200
    martlet.drain()
    assert standing(martlet, "anonymousId", quiet, "partners")["state"] == "withdrawn"
    other = standing(martlet, "anonymousId", plain, "partners")
    assert other is None or other.get("state") != "withdrawn"
    # The owner signs in, with a browser that says nothing: what was said before is theirs.
    martlet.collect("track", {"userId": user, "event": "Looked", "messageId": str(uuid.uuid4())})
    martlet.collect("identify", {"userId": user, "anonymousId": quiet, "messageId": str(uuid.uuid4())})
    martlet.drain()
    assert standing(martlet, "userId", user, "partners")["state"] == "withdrawn"
    site = martlet.http.get(martlet.url("ingestion") + "/.well-known/gpc.json", timeout=30)
    assert site.status_code == 200 and site.json()["gpc"] is True


def test_what_is_not_permitted_is_stored_without_a_name_or_not_at_all(martlet, policy):
    user = f"strict-{uuid.uuid4().hex[:8]}"
    martlet.collect("track", {"userId": user, "event": "Looked", "messageId": str(uuid.uuid4())})
    martlet.drain()
    before = martlet.value("SELECT count(*) FROM profiles.timeline WHERE name = 'Watched'")
    weighed = martlet.value("SELECT count(*) FROM profiles.timeline WHERE name = 'Weighed'")
    assert track(martlet, "Watched", {"userId": user}).status_code == 200
    refused = track(martlet, "Weighed", {"userId": user})
    assert "consent" in refused.text, refused.text
    martlet.drain()
    assert timeline(martlet, "userId", user) == ["Looked"]
    # It is there for statistics, of nobody.
    assert martlet.value("SELECT count(*) FROM profiles.timeline WHERE name = 'Watched'") == before + 1
    assert martlet.value("SELECT count(*) FROM profiles.timeline WHERE name = 'Weighed'") == weighed
    martlet.call("POST", "consent", "/v1/consents", expect=201, json={
        "subject": {"identifier": {"type": "userId", "value": user}}, "purpose": "analytics", "action": "grant",
        "source": "banner", "textVersion": "1"})
    for event in ("Watched", "Weighed"):
        assert track(martlet, event, {"userId": user}).status_code == 200
    martlet.drain()
    assert sorted(timeline(martlet, "userId", user)) == ["Looked", "Watched", "Weighed"]
    # Once the withdrawal is acknowledged nothing more is stored under their name.
    martlet.call("POST", "consent", "/v1/consents", expect=201, json={
        "subject": {"identifier": {"type": "userId", "value": user}}, "purpose": "analytics", "action": "withdraw",
        "source": "banner", "textVersion": "1"})
    assert "consent" in track(martlet, "Weighed", {"userId": user}).text
    martlet.drain()
    assert sorted(timeline(martlet, "userId", user)) == ["Looked", "Watched", "Weighed"]


def test_a_withdrawal_counts_for_the_very_next_event_of_somebody_who_is_seen_all_the_time(martlet, policy):
    browser = uuid.uuid4().hex
    identifier = {"type": "anonymousId", "value": browser}
    made = martlet.call("POST", "identity", "/v1/profiles/batch", json={"items": [{"identifiers": [identifier]}]},
                        expect=200)
    assert made["refused"] == 0, made

    def say(action, second):
        martlet.call("POST", "consent", "/v1/consents", expect=201, json={
            "subject": {"identifier": identifier}, "purpose": "analytics", "action": action, "source": "test",
            "occurredAt": f"2026-01-01T00:{second // 60:02}:{second % 60:02}.000Z"})

    def is_stored():
        answer = track(martlet, "Weighed", {"anonymousId": browser}).json()
        assert answer["accepted"] + answer["refused"] == 1, answer
        return answer["accepted"] == 1

    for turn in range(20):
        say("grant", 2 * turn)
        # Twice, as what was read the first time is kept for the second.
        assert is_stored() and is_stored(), turn
        say("withdraw", 2 * turn + 1)
        assert not is_stored() and not is_stored(), turn


def test_what_somebody_took_back_counts_for_the_browser_that_has_just_become_theirs(martlet, policy):
    for turn in range(5):
        browser, user = uuid.uuid4().hex, uuid.uuid4().hex
        both = [{"type": "anonymousId", "value": browser}, {"type": "userId", "value": user}]
        for identifier in both:
            made = martlet.call("POST", "identity", "/v1/profiles/batch", expect=200,
                                json={"items": [{"identifiers": [identifier]}]})
            assert made["refused"] == 0, made

        def say(action, identifier, second):
            martlet.call("POST", "consent", "/v1/consents", expect=201, json={
                "subject": {"identifier": identifier}, "purpose": "analytics", "action": action, "source": "test",
                "occurredAt": f"2026-01-01T00:00:{second:02}.000Z"})

        def is_stored():
            return track(martlet, "Weighed", {"anonymousId": browser}).json()["accepted"] == 1

        say("grant", both[0], 1)
        assert is_stored() and is_stored(), turn
        # Joined, and taken back under the other name, within the second for which a name is remembered.
        martlet.call("POST", "identity", "/v1/profiles/batch", expect=200, json={"items": [{"identifiers": both}]})
        say("withdraw", both[1], 2)
        assert not is_stored(), turn
