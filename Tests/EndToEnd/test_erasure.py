"""Somebody's marks, left through every entrance, are in their access and nowhere after their erasure.

Everything that lies sealed is opened with the keys of the installation, by another implementation, so that what a service
still could read counts as left. A column that is sealed and that this file cannot open fails the test: whoever adds one
has to say what becomes of it.
"""

import base64
import json
import os
import re
import subprocess
import uuid

import pytest

from installation import REPOSITORY, SERVICES, wait_for
from sealing import PLACES, Opener

EXAMPLES = False

MARK = uuid.uuid4().hex[:10]


class Somebody:
    """Unique values for every field that a person can have."""

    def __init__(self, name):
        self.name = name
        self.user, self.device = self.mark("user"), self.mark("device")
        self.email = f"{self.mark('mail')}@marked.example"
        self.phone = "+4930" + str(int(MARK, 16) + len(name))[-9:]
        self.marks = {self.user, self.device, self.email, self.phone}

    def mark(self, field):
        text = f"{self.name}-{field}-{MARK}"
        if hasattr(self, "marks"):
            self.marks.add(text)
        return text


def identify(martlet, person, **more):
    martlet.collect("identify", {
        "messageId": str(uuid.uuid4()), "userId": person.user, "anonymousId": person.device, "traits": {
            "email": person.email, "phone": person.phone, "firstName": person.mark("first"),
            "address": {"street": person.mark("street")}, "note": person.mark("trait")},
        "context": {"page": {"url": f"https://shop.example/{person.mark('page')}"}}, **more})


def live(martlet, person):
    """Leaves marks in every store: events, an import, quarantine, consent, segments, journeys, mails, recommendations."""
    identify(martlet, person)
    martlet.drain()
    for event, properties in [
        ("Product Viewed", {"sku": "A", "note": person.mark("viewed")}),
        ("Order Completed", {"order_id": person.mark("order"), "total": "1.00", "currency": "EUR", "note": person.mark("paid"),
                             "products": [{"product_id": "A", "sku": "A", "price": "1.00", "quantity": 1}]}),
        ("Marked", {"note": person.mark("property"), "nested": {"deep": [person.mark("nested")]}}),
    ]:
        martlet.collect("track", {
            "messageId": str(uuid.uuid4()), "userId": person.user, "anonymousId": person.device, "event": event,
            "properties": properties})
    # Nobody's by its ids, but it names them.
    answer = martlet.collect("identify", {"messageId": str(uuid.uuid4()), "traits": {
        "email": person.email, "note": person.mark("quarantine")}})
    assert answer["quarantined"] == 1
    martlet.drain()
    profile = lookup(martlet, person)
    for action in ("grant", "withdraw", "grant"):
        martlet.call("POST", "consent", "/v1/consents", expect=201, headers={"Idempotency-Key": str(uuid.uuid4())}, json={
            "subject": {"profileId": profile}, "purpose": "marketing", "action": action, "source": "form",
            "evidence": {"note": person.mark(f"evidence-{action}")}})
        martlet.advance("1s")
    martlet.drain()
    return profile


def lookup(martlet, person):
    return martlet.call("POST", "identity", "/v1/profiles/lookup", expect=200, json={
        "type": "userId", "value": person.user})["profileId"]


def import_file(martlet, person):
    """A file of events, as `martlet import` sends it."""
    file = martlet.directory / f"{person.name}.ndjson"
    file.write_text("\n".join(json.dumps({
        "type": "track", "event": "Imported", "messageId": str(uuid.uuid4()), "userId": person.user,
        "timestamp": "2024-01-01T00:00:00Z", "properties": {"note": person.mark(f"imported-{number}")}})
        for number in range(3)) + "\n")
    martlet.martlet("import", file)


def ask(martlet, kind, profile, note="at the desk"):
    request = martlet.call("POST", "consent", "/v1/privacy-requests", expect=202, json={
        "type": kind, "subject": {"profileId": profile}, "verifiedBy": {"method": "signed in", "note": note}})
    return wait_for(
        lambda: (found := martlet.get("consent", f"/v1/privacy-requests/{request['id']}"))["status"] != "pending" and found,
        f"the {kind}", within=90)


class Everything(Opener):
    """All that the services could still read of what lies in the database."""

    def opened(self):
        """(table, column, text) of every value; what is sealed is opened."""
        self.unknown = set()
        for schema, table in self.installation.sql(
                """SELECT n.nspname, c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
                   WHERE c.relkind = 'r' AND n.nspname !~ '^pg_' AND n.nspname NOT IN ('information_schema', 'public')
                   ORDER BY 1, 2"""):
            name = f"{schema}.{table}"
            for (row, at) in self.installation.sql(
                    f"""SELECT to_jsonb(t), (extract(epoch FROM (to_jsonb(t) ->> 'recorded_at')::timestamptz) * 1000)::bigint
                        FROM {schema}."{table}" t"""):
                for column, value in row.items():
                    for text in self.values(name, column, value, row, at):
                        yield name, column, text

    def values(self, table, column, value, row, at):
        if table == "delivery.message" and column == "links":
            for key, url in value.items():
                yield from self.value(table, column, url, [(f"delivery.message.link {row['message_id']} {key}", "delivery")])
        elif table == "ingestion.quarantine" and column == "item" and value:
            text = bytes.fromhex(value.removeprefix("\\x")).decode("latin-1")
            yield from self.value(table, column, text, self.places(table, column, row, at))
        elif isinstance(value, list):
            for each in value:
                yield from self.values(table, column, each, row, at)
        elif isinstance(value, str):
            yield from self.value(table, column, value, self.places(table, column, row, at))
        elif value is not None:
            yield json.dumps(value)

    def value(self, table, column, text, places):
        if not text.startswith("~"):
            yield text
            return
        if text.startswith("~p."):
            profile = places[0][1] if places else None
            if profile not in self.known_profiles():
                # The key is destroyed.
                return
            yield self.text(text, places[0][0], profile=profile)
            return
        for place, schema in places:
            day = int(text[2:text.index(".")])
            try:
                if not self.has_day(schema, day):
                    return
                yield self.text(text, place, schema)
                return
            except AssertionError:
                continue
        self.unknown.add((table, column))

    def known_profiles(self):
        if not self.profiles:
            try:
                self.profile("none")
            except KeyError:
                pass
        return self.profiles

    def has_day(self, schema, number):
        try:
            self.day(schema, number)
        except KeyError:
            return False
        return True

    def places(self, table, column, row, at):
        """Where the value may be sealed, with the schema of the keys, or the profile."""
        schema = table.split(".")[0]
        if table == "profiles.identifier":
            digest = base64.b64encode(bytes.fromhex(row["value_hash"].removeprefix("\\x"))).decode()
            return [(f"profiles.identifier.value {row['profile_id']} {row['type']} {digest}", row["profile_id"])]
        if column == "body" and table == "profiles.timeline":
            return [(f"profiles.timeline {row['shard']} {row['offset']}", row["profile_id"])]
        if column == "body" and "stream_" in table and "recorded_at" in row:
            return [(f"{table} {row['shard']} {row['key']} {at}", schema)]
        if table in PLACES and column in PLACES[table]:
            place, service = PLACES[table][column]
            return [(place.format(**row), service or row["profile_id"])]
        known = {
            "outbox.body": "{schema}.outbox.body {outbox_id}", "idempotency_key.body": "idempotency_key.body {caller} {key}",
            "quarantine.item": "ingestion.quarantine.item {quarantine_id}",
            "quarantine.detail": "ingestion.quarantine.detail {quarantine_id}",
            "quarantine.envelope": "ingestion.quarantine.envelope {quarantine_id}",
            "privacy_result.result": "consent.privacy_result.result {request_id} {service}",
            "privacy_result_part.items": "consent.privacy_result_part.items {request_id} {service} {part}",
            "privacy_step.detail": "consent.privacy_step.detail {request_id}",
            "privacy_request.detail": "consent.privacy_request.detail {request_id}",
            "attempt.detail": "delivery.message.detail {message_id} {attempt}",
            "erasure_subject.subjects": "ingestion.erasure_subject.subjects {request_id}",
            "erasure_subject.details": "ingestion.erasure_subject.details {request_id}",
            "recent_item.body": "ingestion.recent_item.body {source_id} {ring} {number}",
        }.get(f"{table.split('.')[1]}.{column}")
        return [(known.format(**row, schema=schema), schema)] if known else []


def left(martlet, person):
    """Where marks of the person are, opened or not."""
    everything = Everything(martlet)
    found = {}
    for table, column, text in everything.opened():
        for mark in person.marks:
            if mark in text:
                found.setdefault(f"{table}.{column}", set()).add(mark)
    return found, everything.unknown


@pytest.fixture(scope="module")
def world(martlet, mailbox):
    martlet.call("PUT", "segmentation", "/v1/segments/marked", expect=201, json={
        "rule": {"count": {"event": "Order Completed", "atLeast": 1}}})
    martlet.call("PUT", "delivery", "/v1/templates/marked", expect=201, json={
        "subject": "For {{ profile.traits.firstName }}", "text": "{{ profile.traits.note }} {{ trigger.note }}",
        "html": "<p><a href='https://shop.example/{{ profile.traits.firstName }}'>{{ profile.traits.note }}</a></p>"})
    martlet.call("PUT", "journeys", "/v1/journeys/marked", expect=201, headers={"Content-Type": "application/yaml"},
                 data="name: Marked\nstatus: active\nentry: {event: Marked, reentry: always}\nsteps:\n"
                      "  - send: {template: marked, channel: email, purpose: transactional}\n  - wait: {for: 30d}\n")
    erased, other = Somebody("erased"), Somebody("other")
    profiles = [live(martlet, person) for person in (erased, other)]
    for person in (erased, other):
        import_file(martlet, person)
    # The other uses the erased one's device as well, and stays somebody else.
    martlet.collect("track", {
        "messageId": str(uuid.uuid4()), "userId": other.user, "anonymousId": erased.device, "event": "Borrowed",
        "properties": {"note": other.mark("borrowed")}})
    martlet.collect("track", {
        "messageId": str(uuid.uuid4()), "userId": erased.user, "anonymousId": other.device, "event": "Lent",
        "properties": {"note": erased.mark("lent")}})
    martlet.drain()
    return martlet, erased, other, profiles


def test_the_access_holds_every_mark_and_none_of_anybody_else(world):
    martlet, erased, other, (profile, _) = world
    request = ask(martlet, "access", profile, erased.mark("verified"))
    assert request["status"] == "completed", request
    bundle = json.dumps(
        martlet.get("consent", f"/v1/privacy-requests/{request['id']}/bundle"), ensure_ascii=False)
    # What lies in quarantine is found by an erasure, and not shown by an access.
    missing = {mark for mark in erased.marks if mark not in bundle} - {erased.mark("quarantine")}
    assert missing == set()
    # Of the other's, their device's name stands in an event of the erased one's.
    assert {mark for mark in other.marks if mark in bundle} - {other.device} == set()


def test_before_the_erasure_the_marks_are_found_where_they_lie(world):
    martlet, erased, _, _ = world
    found, unknown = left(martlet, erased)
    assert unknown == set(), f"sealed in ways that are not known here: {sorted(unknown)}"
    for place in ("profiles.timeline.body", "ingestion.stream_events.body", "profiles.identifier.value",
                  "profiles.trait.value", "ingestion.quarantine.item", "consent.ledger_subject.evidence",
                  "consent.privacy_result.result", "consent.privacy_step.detail", "delivery.message.variables"):
        assert place in found, f"{place}: the search is blind; it found {sorted(found)}"


def test_after_the_erasure_nothing_opens_that_holds_a_mark(world):
    martlet, erased, other, (profile, neighbour) = world
    before, _ = left(martlet, other)
    request = ask(martlet, "erasure", profile, erased.mark("erasing"))
    assert request["status"] == "completed", request
    assert {result["service"] for result in request["results"]} == set(SERVICES)
    martlet.drain()
    found, unknown = left(martlet, erased)
    assert unknown == set()
    # Names that senders gave to a device stand where somebody else has used it: in their events, and nowhere as a name.
    assert erased.device not in found.get("profiles.identifier.value", ())
    found = {place: marks - {erased.device} for place, marks in found.items()}
    assert {place: marks for place, marks in found.items() if marks} == {}
    # Nothing of the other has gone, also of what they did on the device.
    after, _ = left(martlet, other)
    kept = set().union(*after.values())
    assert set().union(*before.values()) == kept
    assert other.mark("borrowed") in kept
    assert lookup(martlet, other) == neighbour


def test_late_events_and_an_import_from_before_bring_nobody_back(world):
    martlet, erased, _, _ = world
    import_file(martlet, erased)
    martlet.collect("track", {
        "messageId": str(uuid.uuid4()), "anonymousId": erased.device, "event": "Late",
        "timestamp": "2024-01-02T00:00:00Z", "properties": {"note": erased.mark("late")}})
    martlet.drain()
    assert martlet.call("POST", "identity", "/v1/profiles/lookup", json={
        "type": "userId", "value": erased.user}).status_code == 404
    found, _ = left(martlet, erased)
    found = {place: marks - {erased.device} for place, marks in found.items()}
    assert {place: marks for place, marks in found.items() if marks} == {}


def test_the_readme_tells_how_to_ask_from_the_request_to_the_receipt(world, tmp_path):
    martlet, _, _, _ = world
    martlet.collect("identify", {"userId": "readme-ann", "traits": {"email": "ann@example.com", "plan": "readme-plan"}})
    martlet.drain()
    text = (REPOSITORY / "README.md").read_text()
    script = next(block for block in re.findall(r"```sh\n(.*?)```", text, re.DOTALL) if "privacy-requests" in block)
    script = script.replace("http://127.0.0.1:8103", martlet.url("consent"))
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", script], cwd=tmp_path, capture_output=True, text=True, timeout=120,
        env={"PATH": os.environ["PATH"], "K": f"Authorization: Bearer {martlet.admin_key}",
             "J": "Content-Type: application/json"})
    assert done.returncode == 0, done.stdout + done.stderr
    assert "readme-plan" in (tmp_path / "access.json").read_text()
    receipt = json.loads((tmp_path / "receipt.json").read_text())
    assert receipt["type"] == "erasure" and receipt["state"] == "completed"
    assert {store["service"] for store in receipt["stores"]} == set(SERVICES)
    assert "nothing wrong" in martlet.martlet("verify", "receipt", tmp_path / "receipt.json")
    altered = tmp_path / "altered.json"
    altered.write_text(json.dumps({**receipt, "requestedAt": "2020-01-01T00:00:00.000Z"}))
    assert "altered" in martlet.martlet("verify", "receipt", altered, expect=1)


def test_logs_name_nobody(world):
    martlet, erased, other, _ = world
    for log in (martlet.directory / "logs").glob("*.log"):
        text = log.read_text(errors="replace")
        assert not [mark for mark in erased.marks | other.marks if mark in text], log.name


def test_the_ledger_verifies_and_whoever_makes_it_anew_is_found(world):
    martlet, _, other, (_, neighbour) = world
    heads = martlet.directory / "kept-heads.ndjson"
    heads.write_text(json.dumps(martlet.get("consent", "/v1/audit/heads"), separators=(",", ":")) + "\n")
    assert "nothing wrong" in martlet.martlet("verify", "ledger", "--heads", heads)
    assert "nothing wrong" in martlet.martlet("verify", "ledger")
    martlet.sql("UPDATE profiles.consent_state SET state = 'withdrawn' WHERE profile_id = %s", neighbour)
    said = martlet.martlet("verify", "ledger", expect=1)
    assert neighbour in said and "marketing" in said
    martlet.sql("UPDATE profiles.consent_state SET state = 'granted' WHERE profile_id = %s", neighbour)
    for table in ("ledger_entry", "ledger_subject", "ledger_erasure", "ledger_head"):
        martlet.sql(f"DELETE FROM consent.{table}")
    martlet.sql("DELETE FROM profiles.consent_state")
    assert "nothing wrong" in martlet.martlet("verify", "ledger")
    said = martlet.martlet("verify", "ledger", "--heads", heads, expect=1)
    assert "truncated" in said
    heads.write_text(heads.read_text().replace('"position":', '"position":1'))
    assert "signed" in martlet.martlet("verify", "ledger", "--heads", heads, expect=1)
