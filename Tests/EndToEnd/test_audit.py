"""Who has read and changed what: every route that touches people or definitions, by its contract, and tampering."""

import json

from contract import operations, put_somebody_through
from installation import SERVICES
from test_access import filled, new_key, seen_at

EXAMPLES = False


def entries(martlet, service, **filters):
    return martlet.items(service, "/v1/audit-log", limit=1000, **filters)


def test_every_route_that_shows_people_is_recorded_with_who_and_why(martlet, mailbox):
    known = put_somebody_through(martlet, mailbox)
    asked = {}
    for number, operation in enumerate(operations()):
        touches = operation.definition.get("x-martlet-touches")
        if operation.method != "get" or touches in (None, "definitions") or operation.is_endless:
            continue
        path, more = seen_at(operation, known)
        answer = martlet.call("GET", operation.service, path, params=more, headers={"X-Martlet-Reason": f"audit {number}"})
        asked[operation.service, f"audit {number}"] = (operation, answer)
    assert len(asked) > 30
    logs = {service: entries(martlet, service) for service in SERVICES}
    wrong, idle = [], []
    for (service, reason), (operation, answer) in asked.items():
        found = [entry for entry in logs[service] if entry["reason"] == reason]
        if operation.path.startswith("/v1/streams/") and answer.status_code == 200 and not answer.content:
            # Nobody was shown: whoever waits at the end of a stream would else fill the log.
            idle.append(operation)
            if found:
                wrong.append(f"{operation} had nothing new: {found}")
            continue
        if len(found) != 1:
            wrong.append(f"{operation}: {len(found)} entries")
            continue
        entry = found[0]
        if entry["route"] != f"GET {operation.path}" or entry["status"] != answer.status_code:
            wrong.append(f"{operation}: {entry}")
        if entry["outcome"] != ("done" if answer.status_code < 400 else "refused") or entry["action"] != "read":
            wrong.append(f"{operation}: {entry}")
        shown = known["/v1/profiles/{"] in answer.text and f'"profileId":"{known["/v1/profiles/{"]}"' in answer.text
        if shown and known["/v1/profiles/{"] not in entry["subjects"]:
            wrong.append(f"{operation} shows the profile and doesn't say so: {entry}")
    assert wrong == [], "\n".join(wrong)
    assert any(operation.path.startswith("/v1/streams/") for operation, _ in asked.values() if operation not in idle)
    done = sum(answer.status_code < 400 for _, answer in asked.values())
    print(f"{len(asked)} routes, {done} of which showed something")
    assert done > 25
    mine = entries(martlet, "identity", subject=known["/v1/profiles/{"])
    assert {"GET /v1/profiles/{id}", "GET /v1/profiles/{id}/timeline", "GET /v1/profiles"} <= {
        entry["route"] for entry in mine}


def body_of(operation):
    """The first example of the contract, or nothing."""
    for media_type, content in operation.definition.get("requestBody", {}).get("content", {}).items():
        examples = [each.get("value") for each in content.get("examples", {}).values()]
        example = content.get("example", examples[0] if examples else None)
        if example is None:
            continue
        data = example if isinstance(example, str) else json.dumps(example)
        return {"data": data.encode(), "headers": {"Content-Type": media_type}}
    return {"json": {}} if "requestBody" in operation.definition else {}


def test_every_route_that_changes_definitions_commits_its_entry_with_the_change(martlet, mailbox):
    known = put_somebody_through(martlet, mailbox)
    source = martlet.call("POST", "ingestion", "/v1/sources", expect=201, json={"name": "audited"})
    write_key = martlet.call(
        "POST", "ingestion", f"/v1/sources/{source['sourceId']}/write-keys", expect=201)["writeKeyId"]
    own = dict(known) | {"/v1/sources/{": source["sourceId"]}
    bodies = {
        "PUT delivery/v1/templates/{id}": {"json": {"subject": "Hello", "html": "<p>Hello</p>", "text": "Hello"}},
        "PUT recommendation/v1/catalog/items": {"json": {"items": [
            {"sku": "Z-1", "name": "Z", "price": "1.00", "currency": "EUR"}]}},
        "PUT segmentation/v1/segments/{id}": {"json": {"rule": {"count": {"event": "Audited"}}}},
        "PUT segmentation/v1/scores/{id}": {"json": {
            "events": [{"event": "Audited", "weight": 5, "perDay": 2, "cap": "7.5"}], "halfLife": "7d"}},
        "PUT segmentation/v1/stages": {"json": {"stages": [
            {"id": "audited", "rule": {"count": {"event": "Order Completed"}}}]}},
        "POST ingestion/v1/sources": {"json": {"name": "audited too"}},
    }
    named = {"/v1/templates/{": "audited", "/v1/segments/{": "audited", "/v1/scores/{": "audited",
             "/v1/journeys/{": "load-thanks", "/v1/purposes/{": "audited"}
    own |= named
    before = {service: len(entries(martlet, service, action="change")) for service in SERVICES}
    order = {"put": 0, "post": 1, "patch": 2, "delete": 3}
    changing = [operation for operation in operations() if operation.definition.get("x-martlet-touches") == "changes"]
    outcomes = {}
    for operation in sorted(changing, key=lambda each: order[each.method]):
        prefix = next((prefix for prefix in own if operation.path.startswith(prefix)), None)
        path = operation.path
        if prefix:
            path = prefix[:-1] + str(own[prefix]) + path[len(prefix):].split("}", 1)[1]
        arguments = bodies.get(str(operation), body_of(operation))
        if operation.path.endswith("/write-keys/{key}"):
            path = path.replace("{key}", write_key)
        answer = martlet.call(operation.method.upper(), operation.service, filled(path), **arguments)
        assert answer.status_code < 500, (str(operation), answer.text)
        log = entries(martlet, operation.service, action="change")
        added = len(log) - before[operation.service]
        before[operation.service] = len(log)
        newest = log[0]
        assert newest["route"] == f"{operation.method.upper()} {operation.path}", (str(operation), newest)
        assert added == 1, (str(operation), answer.status_code, log[:added])
        outcomes[str(operation)] = (answer.status_code, newest["outcome"], newest["status"])
        if answer.status_code >= 400:
            assert newest["outcome"] == "refused" and newest["status"] == answer.status_code, str(operation)
        elif newest["outcome"] == "done":
            assert newest["status"] is None, str(operation)
        if operation.method == "post" and answer.status_code == 201:
            made = next((value for key, value in answer.json().items() if key in ("id", "webhookId", "jobId")), None)
            if made:
                own.setdefault(operation.path + "/{", made)
    for name, outcome in sorted(outcomes.items()):
        print(name, *outcome)
    done = {name for name, outcome in outcomes.items() if outcome[1] == "done"}
    assert done >= {
        "PUT consent/v1/purposes/{id}", "PUT identity/v1/identity-policy", "PUT segmentation/v1/segments/{id}",
        "PUT segmentation/v1/scores/{id}", "PUT segmentation/v1/stages", "DELETE segmentation/v1/segments/{id}",
        "DELETE segmentation/v1/scores/{id}", "POST segmentation/v1/segments/{id}/snapshot",
        "PUT delivery/v1/templates/{id}", "DELETE delivery/v1/templates/{id}", "DELETE journeys/v1/journeys/{id}",
        "POST ingestion/v1/sources", "POST ingestion/v1/sources/{id}/write-keys",
        "DELETE ingestion/v1/sources/{id}/write-keys/{key}", "PUT recommendation/v1/catalog/items",
        "PUT ingestion/v1/sources/{id}/tracking-plan", "DELETE ingestion/v1/imports/{id}"}, done
    # Whatever was answered as made or changed was: nothing that answers 201 has left everything as it was.
    assert [name for name, outcome in outcomes.items() if outcome[0] == 201 and outcome[1] != "done"] == []


def test_tampering_is_found_and_keys_have_a_log_of_their_own(martlet):
    key = new_key(martlet, "watched", ["profiles:read"])
    assert martlet.call("GET", "identity", "/v1/profiles", key=key).status_code == 200
    made = martlet.items("consent", "/v1/audit-log", log="keys")
    assert made[0]["route"] == "martlet keys create" and made[0]["actor"] == "command line"
    assert "nothing wrong" in martlet.martlet("verify", "audit")
    actor = f"key {made[0]['target']}"
    assert [entry["route"] for entry in entries(martlet, "identity", actor=actor)] == ["GET /v1/profiles"]
    martlet.sql("UPDATE identity.audit_entry SET actor = 'key somebody-else' WHERE actor = %s", actor)
    found = martlet.martlet("verify", "audit", expect=1)
    assert "identity, shard" in found and "edited" in found
    martlet.sql("UPDATE identity.audit_entry SET actor = %s WHERE actor = 'key somebody-else'", actor)
    assert "nothing wrong" in martlet.martlet("verify", "audit")
    shard, = {entry["shard"] for entry in made if entry["actor"] == "command line"}
    martlet.sql("DELETE FROM platform.audit_entry WHERE shard = %s AND position = 1", shard)
    assert "keys, shard" in martlet.martlet("verify", "audit", expect=1)
