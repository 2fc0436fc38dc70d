"""A batch that is sent five times at once, and five times again 25 hours later, counts once, everywhere.

Twins do the same at the same instant of a rehearsal. What one sends comes five times at once, the other's once; from
then on everything that the platform knows of either, in its API and in its tables, must be the same.
"""

import json
import re
import threading
from collections import Counter
from datetime import timedelta

import pytest
import requests

from installation import SERVICES, write_instant
from sealing import Opener

COPIES = 5
UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
DIGEST = re.compile(r"[0-9a-f]{64}")
# Also within JSON that is kept as text.
PLACE = re.compile(r'"(shard|offset)(\\*)": ?\d+')
# How far each shard has been read, as segmentation keeps it.
READ = re.compile(r'(\\*"o\\*": ?\{)(?:(?:, ?)?\\*"\d+\\*": ?\d+)+\}')

# Beside those of the examples: a window that runs out within the 25 hours, and a sum that a second order would pass.
SEGMENTS = {
    "twins-two-orders-today": {"rule": {"count": {"event": "Order Completed", "atLeast": 2, "within": "24h"}}},
    "twins-three-orders": {"rule": {"count": {"event": "Order Completed", "atLeast": 3}}},
    "twins-hundred": {"rule": {"sum": {"event": "Order Completed", "property": "total", "atLeast": 100}}},
    "twins-two-hundred": {"rule": {"sum": {"event": "Order Completed", "property": "total", "atLeast": 200}}},
}
JOURNEY = """\
name: A second word the next day
status: active
entry:
  segment: twins-two-orders-today
  reentry: always
steps:
  - send: {template: twins-thanks, channel: email, purpose: marketing}
  - wait: {for: 12h}
  - send: {template: twins-thanks, channel: email, purpose: marketing}
"""
TEMPLATE = {
    "subject": "Thank you, {{ profile.traits.firstName }}", "text": "Thank you.",
    "html": "<html><body><p>Thank you.</p><a href=\"https://shop.example/orders\">Your orders</a></body></html>"}


class Twin:
    """One of two who do the same."""

    def __init__(self, martlet, name, copies):
        self.martlet = martlet
        # Names of one length, so that not even lengths differ.
        self.name = name
        self.copies = copies
        self.email = f"{name}@twins.example"
        self.statuses = Counter()

    def batch(self, now):
        """A day in a shop; the times are before `now`, as an SDK would send them."""
        def at(seconds):
            return write_instant(now - timedelta(seconds=seconds))

        def event(number, name, properties):
            return {"type": "track", "messageId": f"{self.name}-{number}", "userId": self.name, "anonymousId":
                    f"{self.name}-browser", "event": name, "properties": properties, "timestamp": at(60 - number)}

        product = {"sku": "TEAPOT", "name": "Brown teapot", "price": "60.00", "currency": "GBP", "quantity": 1}
        return {"sentAt": write_instant(now), "batch": [
            {"type": "page", "messageId": f"{self.name}-0", "anonymousId": f"{self.name}-browser", "name": "Start",
             "timestamp": at(60)},
            {"type": "identify", "messageId": f"{self.name}-1", "userId": self.name,
             "anonymousId": f"{self.name}-browser", "timestamp": at(59),
             "traits": {"email": self.email, "firstName": "Ada", "visits": 7}},
            event(2, "Product Viewed", product), event(3, "Product Viewed", product),
            event(4, "Product Viewed", product),
            *(event(number, "Order Completed", {
                "order_id": f"{self.name}-{number}", "total": "60.00", "currency": "GBP", "products": [product]})
              for number in (5, 6)),
            event(7, "Product Added", product | {"cart_id": self.name}),
            # What can't be accepted is kept once, too.
            {"type": "track", "messageId": f"{self.name}-8", "userId": self.name, "timestamp": at(50)},
        ]}

    def send(self, batch):
        """The batch as often as this twin sends it, all at once."""
        barrier = threading.Barrier(self.copies)
        answers = []

        def deliver():
            with requests.Session() as session:
                session.trust_env = False
                barrier.wait(30)
                answers.append(session.post(
                    self.martlet.url("ingestion") + "/v1/batch", json=batch, auth=(self.martlet.write_key, ""),
                    timeout=60))

        threads = [threading.Thread(target=deliver) for _ in range(self.copies)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(90)
        assert [answer.status_code for answer in answers] == [200] * self.copies
        for answer in answers:
            self.statuses.update(item["status"] for item in answer.json()["items"])

    @property
    def profile_id(self):
        return self.martlet.call(
            "POST", "identity", "/v1/profiles/lookup", json={"type": "userId", "value": self.name},
            expect=200)["profileId"]

    def told(self):
        """Everything that the API tells of the twin."""
        martlet, profile = self.martlet, self.profile_id
        held = martlet.items("segmentation", f"/v1/profiles/{profile}/segments")
        segments = sorted(each["id"] for each in martlet.items("segmentation", "/v1/segments"))
        journeys = sorted(each["id"] for each in martlet.items("journeys", "/v1/journeys"))
        instances = [
            martlet.get("journeys", f"/v1/instances/{each['id']}") for journey in journeys
            for each in martlet.items("journeys", f"/v1/journeys/{journey}/instances", profileId=profile)]
        messages = [
            martlet.get("delivery", f"/v1/messages/{each['messageId']}")
            for each in martlet.items("delivery", "/v1/messages", profileId=profile)]
        return {name: self.plain(value) for name, value in {
            "profile": martlet.get("identity", f"/v1/profiles/{profile}"),
            "timeline": martlet.items("identity", f"/v1/profiles/{profile}/timeline"),
            "consents": martlet.get("consent", f"/v1/profiles/{profile}/consents"),
            "segments": sorted(held, key=lambda each: each["segment"]),
            "why": [martlet.get("segmentation", f"/v1/segments/{each}/members/{profile}/why") for each in segments],
            "instances": instances,
            "messages": sorted(messages, key=lambda each: (each["wantedAt"], each["template"])),
        }.items()}

    def stored(self):
        """Every row of every table that names the twin's profile, as far as it can be the same for both."""
        martlet, profile = self.martlet, self.profile_id
        profiles = [row[0] for row in martlet.sql(
            "SELECT profile_id FROM profiles.profile WHERE canonical_id = %s", profile)]
        tables = martlet.sql(
            """SELECT n.nspname, c.relname, array_agg(a.attname::text) FILTER (
                   WHERE a.atttypid <> 'bytea'::regtype AND a.attname NOT IN ('shard', 'offset', 'prefixes'))
               FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
               JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
               WHERE c.relkind IN ('r', 'p') AND n.nspname = ANY(%s)
               GROUP BY 1, 2 HAVING bool_or(a.attname = 'profile_id') ORDER BY 1, 2""", [*SERVICES, "profiles"])
        rows, opener = {}, Opener(martlet)
        for schema, table, columns in tables:
            name = f"{schema}.{table}"
            # A data key is made when it is needed, by the machine's clock.
            same = set(columns) - ({"created_at"} if table == "data_key" else set())
            found = martlet.sql(
                f'SELECT to_jsonb(t) FROM {schema}."{table}" t WHERE profile_id = ANY(%s)', profiles)
            rows[name] = sorted(
                self.plain({column: value for column, value in opener.row(name, row).items() if column in same})
                for (row,) in found)
        return rows

    def plain(self, value):
        """As text, without what can't be the same for two: names, ids, digests, and where records lie."""
        text = json.dumps(value, sort_keys=True, indent=1, ensure_ascii=False)
        text = DIGEST.sub("digest", text)
        text = READ.sub(r"\1}", text)
        return PLACE.sub(r'"\1": 0', UUID.sub("id", text.replace(self.name, "twin")))


@pytest.fixture(scope="module")
def twins(martlet):
    for name, segment in SEGMENTS.items():
        martlet.call("PUT", "segmentation", f"/v1/segments/{name}", json=segment, expect=201)
    martlet.call("PUT", "delivery", "/v1/templates/twins-thanks", json=TEMPLATE, expect=201)
    martlet.call("PUT", "journeys", "/v1/journeys/twins", data=JOURNEY, expect=201,
                 headers={"Content-Type": "application/yaml"})
    martlet.drain()
    return Twin(martlet, "castor", COPIES), Twin(martlet, "pollux", 1)


def compare(twins):
    """Nothing tells the twins apart."""
    often, once = (twin.told() for twin in twins)
    differences = [(name, *differing(often[name], once[name])) for name in once if often[name] != once[name]]
    often, once = (twin.stored() for twin in twins)
    assert set(once) == set(often)
    differences += [
        (table, *differing("\n".join(often[table]), "\n".join(once[table])))
        for table in once if often[table] != once[table]]
    assert differences == []
    return once


def differing(often, once):
    """The lines that are not on both sides, the first few."""
    left, right = Counter(often.split("\n")), Counter(once.split("\n"))
    return list((left - right).elements())[:5], list((right - left).elements())[:5]


def test_five_times_at_once_and_again_25_hours_later_is_once(martlet, mailbox, twins):
    now = martlet.now()
    batches = [twin.batch(now) for twin in twins]
    items = len(batches[0]["batch"])
    for twin, batch in zip(twins, batches):
        twin.send(batch)
    martlet.drain()
    for twin in twins:
        martlet.call("POST", "consent", "/v1/consents", expect=201, json={
            "subject": {"identifier": {"type": "userId", "value": twin.name}}, "purpose": "marketing",
            "action": "grant", "source": "checkout form", "textVersion": "1"})
    martlet.drain()
    often, once = twins
    assert once.statuses == {"accepted": items - 1, "quarantined": 1}
    assert often.statuses == {"accepted": items - 1, "quarantined": 1, "duplicate": (COPIES - 1) * items}
    first = compare(twins)
    print({table: len(rows) for table, rows in first.items() if rows})
    assert len(first["profiles.timeline"]) >= items - 1
    assert first["profiles.membership"] and first["journeys.instance"], "nothing has happened that could be doubled"

    martlet.advance("25h")
    after = compare(twins)
    assert len(after["delivery.message"]) > len(first["delivery.message"])
    mails = [len(mailbox.to(twin.email)) for twin in twins]
    assert mails[0] == mails[1] > 0

    # Only the one sends again; the other stays as it is.
    often.send(batches[0])
    martlet.drain()
    assert often.statuses == {"accepted": items - 1, "quarantined": 1, "duplicate": (2 * COPIES - 1) * items}
    assert compare(twins) == after
    martlet.advance("25h")
    compare(twins)
    assert len(mailbox.to(often.email)) == len(mailbox.to(once.email))
    report = martlet.get("ingestion", "/v1/reconciliation")
    assert report["balanced"], report
    assert martlet.quarantined() == []
