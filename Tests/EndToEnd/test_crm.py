"""HubSpot, Zendesk, Salesforce and Shopify send webhooks by the mappings that are shipped, and a browser tracks with the
same address: it is one person, with every system's id. Two are merged in HubSpot, and one is deleted there for good."""

import base64
import hashlib
import hmac
import json
import uuid

import pytest

from installation import REPOSITORY, wait_for, write_instant

EXAMPLES = False
SECRET = "what the sender signs with, 0123456789"


class Senders:
    """The webhooks of one source, and who calls them."""

    def __init__(self, martlet):
        self.martlet = martlet
        source = martlet.items("ingestion", "/v1/sources")[0]["sourceId"]
        self.paths = {}
        for provider in ("hubspot", "zendesk", "salesforce", "shopify"):
            mapping = (REPOSITORY / "deploy" / "examples" / "webhooks" / f"{provider}.yaml").read_text()
            self.paths[provider] = martlet.call("POST", "ingestion", "/v1/webhooks", expect=201, json={
                "name": provider, "sourceId": source, "mappingYAML": mapping, "secrets": [SECRET]})["path"]

    def send(self, provider, body, **headers):
        answer = self.martlet.call(
            "POST", "ingestion", self.paths[provider], key=None, data=body, expect=200,
            headers={"Content-Type": "application/json"} | headers)
        assert answer["quarantined"] == answer["refused"] == 0, answer
        return answer

    def hubspot(self, *events):
        at = str(int(self.martlet.now().timestamp() * 1000))
        body = json.dumps([{"eventId": uuid.uuid4().int % 10**9, "portalId": 1, "occurredAt": int(at)} | event
                           for event in events])
        return self.send("hubspot", body, **{"X-HubSpot-Request-Timestamp": at, "X-HubSpot-Signature-v3": signature(
            "POST" + self.martlet.url("ingestion") + self.paths["hubspot"] + body + at)})

    def contact(self, number, email):
        self.hubspot(
            {"subscriptionType": "contact.creation", "objectId": number},
            {"subscriptionType": "contact.propertyChange", "objectId": number, "propertyName": "email",
             "propertyValue": email})

    def zendesk(self, kind, detail):
        at = write_instant(self.martlet.now())
        body = json.dumps({"type": f"zen:event-type:{kind}", "id": uuid.uuid4().hex, "time": at, "detail": detail,
                           "event": {}})
        self.send("zendesk", body, **{
            "X-Zendesk-Webhook-Signature-Timestamp": at, "X-Zendesk-Webhook-Signature": signature(at + body)})

    def salesforce(self, entity, record, **fields):
        self.send("salesforce", json.dumps({"payload": {"ChangeEventHeader": {
            "entityName": entity, "recordIds": [record], "changeType": "UPDATE", "transactionKey": uuid.uuid4().hex,
        }} | fields}), Authorization=f"Bearer {SECRET}")

    def shopify(self, topic, body):
        body = json.dumps(body)
        self.send("shopify", body, **{
            "X-Shopify-Topic": topic, "X-Shopify-Shop-Domain": "a.myshopify.com",
            "X-Shopify-Hmac-Sha256": signature(body)})


def signature(text):
    return base64.b64encode(hmac.new(SECRET.encode(), text.encode(), hashlib.sha256).digest()).decode()


@pytest.fixture(scope="module")
def senders(martlet):
    return Senders(martlet)


def person(martlet, kind, value, expect=200):
    """Whom an identifier leads to, with all that they are known by."""
    found = martlet.call("POST", "identity", "/v1/profiles/lookup", json={"type": kind, "value": value}, expect=expect)
    return found.get("profileId"), {(each["type"], each["value"]) for each in found.get("identifiers", [])}


def test_one_address_is_one_person_with_the_ids_of_all_systems(martlet, senders):
    # HubSpot's contact comes before the visitor, Salesforce's after.
    senders.contact(123, "Ada@Shopper.example")
    senders.contact(124, "bob@shopper.example")
    senders.zendesk("ticket.created", {"id": "1", "requester_id": "8447", "subject": "Kettle"})
    martlet.collect("identify", {
        "userId": "u-1", "anonymousId": "browser", "traits": {"email": "ada@shopper.example"}})
    senders.salesforce("Contact", "003000000000001AAA", Email="ada@shopper.example")
    senders.zendesk("user.created", {"id": "8447", "role": "end-user", "external_id": "u-1"})
    senders.shopify("orders/paid", {
        "id": 9, "customer": {"id": 115}, "cart_token": "c1", "email": "ada@shopper.example",
        "financial_status": "paid", "updated_at": write_instant(martlet.now()), "total_price": "12.50",
        "currency": "EUR"})
    martlet.drain()
    profile, known = person(martlet, "userId", "u-1")
    assert known >= {
        ("userId", "u-1"), ("email", "ada@shopper.example"), ("hubspot:contact", "123"), ("zendesk:user", "8447"),
        ("salesforce:contact", "003000000000001AAA"), ("shopify:customer", "115")}, known
    for kind, value in known:
        assert person(martlet, kind, value)[0] == profile
    other, known = person(martlet, "hubspot:contact", "124")
    assert other != profile
    assert known == {("hubspot:contact", "124"), ("email", "bob@shopper.example")}


def test_what_hubspot_merges_is_one_and_what_it_deletes_is_gone(martlet, senders):
    for number, name in ((201, "carl"), (202, "carla")):
        senders.contact(number, f"{name}@shopper.example")
        martlet.collect("identify", {"userId": name, "traits": {"email": f"{name}@shopper.example"}})
    martlet.drain()
    assert person(martlet, "userId", "carl")[0] != person(martlet, "userId", "carla")[0]
    senders.hubspot({"subscriptionType": "contact.merge", "primaryObjectId": 201, "mergedObjectIds": [202],
                     "newObjectId": 203})
    martlet.drain()
    profile, known = person(martlet, "hubspot:contact", "203")
    assert {("userId", "carl"), ("userId", "carla")} <= known
    # Another person's number happens to be that of the contact.
    martlet.collect("track", {"userId": "203", "event": "Looked"})
    martlet.drain()

    def left():
        """What the raw log still holds: everything else is a tombstone."""
        return martlet.value("SELECT count(*) FROM ingestion.stream_events WHERE key <> 'erased'")

    before = left()
    answer = senders.hubspot({"subscriptionType": "contact.privacyDeletion", "objectId": 203})
    assert answer["requested"] == 1, answer
    wait_for(lambda: [request["status"] for request in martlet.items("consent", "/v1/privacy-requests")]
             == ["completed"], "the erasure")
    martlet.drain()
    for kind, value in known:
        person(martlet, kind, value, expect=404)
    # Two events of each contact, one of each visitor, and two that merged them.
    assert before - left() == 8
    assert person(martlet, "userId", "203")[0] != profile
    assert martlet.quarantined() == []
