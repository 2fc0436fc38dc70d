"""One shopper from the first anonymous look to the unsubscribe, through the real executables.

The unmodified Segment SDK for Python sends, a real SMTP server receives, and the rehearsal's clock lets the days
pass. The times are those of deploy/examples: a cart that has been open for an hour starts the journey
`abandoned-cart`, which reminds at once, gives a discount after 23 hours, and calls for the last time two days later.
"""

import csv
import html
import io
import uuid
from datetime import timedelta
from email.utils import parsedate_to_datetime

import pytest
import segment.analytics.client
from segment.analytics.request import APIError

from installation import parse_instant, write_instant

HOUR = timedelta(hours=1)
MILLISECOND = timedelta(milliseconds=1)
TEAPOT = {"sku": "TEAPOT", "product_id": "TEAPOT", "name": "Brown teapot", "category": "Kitchen", "price": 24.5,
          "currency": "GBP", "url": "https://shop.example/teapot", "image_url": "https://shop.example/teapot.jpg"}
CUP = {"sku": "CUP", "name": "Blue cup", "price": "6.50", "currency": "GBP", "url": "https://shop.example/cup",
       "imageUrl": "https://shop.example/cup.jpg"}
GONE = {"sku": "GONE", "name": "Sold-out saucer", "price": "3.00", "currency": "GBP", "inStock": False}


class Shopper:
    """A person with a browser that runs the SDK."""

    def __init__(self, martlet, name):
        self.martlet = martlet
        self.name = name
        self.user_id = f"user-{uuid.uuid4().hex[:8]}"
        self.device = f"device-{uuid.uuid4().hex[:8]}"
        self.email = f"{name.lower()}.{self.user_id}@shopper.example"
        self.errors = []
        self.sdk = segment.analytics.client.Client(
            martlet.write_key, host=martlet.url("ingestion"), on_error=lambda error, batch: self.errors.append(error),
            max_retries=1)

    def flush(self):
        self.sdk.flush()
        assert self.errors == []
        self.martlet.drain()

    def anonymously(self, event, properties):
        self.sdk.track(anonymous_id=self.device, event=event, properties=properties)

    def does(self, event, properties):
        self.sdk.track(user_id=self.user_id, anonymous_id=self.device, event=event, properties=properties)
        self.flush()

    def logs_in(self):
        self.sdk.identify(
            user_id=self.user_id, anonymous_id=self.device, traits={"email": self.email, "firstName": self.name})
        self.flush()

    def consents(self, action="grant"):
        return self.martlet.call("POST", "consent", "/v1/consents", expect=201, json={
            "subject": {"identifier": {"type": "email", "value": self.email}}, "purpose": "marketing",
            "action": action, "source": "checkout form", "textVersion": "1"})

    # What is known.

    def profile_by(self, kind, value):
        return self.martlet.call(
            "POST", "identity", "/v1/profiles/lookup", json={"type": kind, "value": value}, expect=200)

    @property
    def profile_id(self):
        return self.profile_by("email", self.email)["profileId"]

    def timeline(self):
        """The events, the oldest first."""
        items = self.martlet.items("identity", f"/v1/profiles/{self.profile_id}/timeline")
        return [item["event"] for item in reversed(items) if item["kind"] == "event"]

    def events(self, name):
        return [event for event in self.timeline() if event.get("event") == name]

    def membership(self, segment):
        held = self.martlet.items("segmentation", f"/v1/profiles/{self.profile_id}/segments")
        return next((each for each in held if each["segment"] == segment), None)

    def instances(self, journey):
        return self.martlet.items(
            "journeys", f"/v1/journeys/{journey}/instances", profileId=self.profile_id)

    def messages(self):
        """What was to be sent, the oldest first, with the evidence."""
        items = self.martlet.items("delivery", "/v1/messages", profileId=self.profile_id)
        details = [self.martlet.get("delivery", f"/v1/messages/{item['messageId']}") for item in items]
        return sorted(details, key=lambda message: message["wantedAt"])

    def fills_a_cart(self):
        """Two looks and a cart without a name, then a login and the consent; returns when the cart was filled."""
        self.anonymously("Product Viewed", TEAPOT)
        self.anonymously("Product Viewed", TEAPOT)
        self.anonymously("Product Added", {"cart_id": self.device, "quantity": 1, **TEAPOT})
        self.flush()
        self.logs_in()
        self.consents()
        self.martlet.drain()
        [added] = self.events("Product Added")
        return parse_instant(added["timestamp"])


@pytest.fixture(scope="module")
def shop(martlet):
    """A catalog, and others who have bought the teapot with the cup."""
    products = [{key: TEAPOT[key] for key in ("sku", "name", "currency", "url")}
                | {"price": "24.50", "imageUrl": TEAPOT["image_url"]}, CUP, GONE]
    martlet.call("PUT", "recommendation", "/v1/catalog/items", json={"items": products}, expect=200)
    for number in range(4):
        martlet.collect("track", {
            "userId": f"other-{number}", "event": "Order Completed", "properties": {
                "order_id": f"other-{number}", "total": "31.00", "currency": "GBP",
                "products": [{"sku": sku, "quantity": 1, "price": "10.00"} for sku in ("TEAPOT", "CUP", "GONE")]}})
    martlet.drain()
    return martlet


def test_a_shopper_is_followed_from_the_first_look_to_the_purchase(shop, mailbox):
    martlet = shop
    shopper = Shopper(martlet, "Ada")

    # Anonymous: somebody is there, and nobody knows who.
    shopper.anonymously("Product Viewed", TEAPOT)
    shopper.anonymously("Product Viewed", TEAPOT)
    shopper.anonymously("Product Added", {"cart_id": "cart-1", "quantity": 1, **TEAPOT})
    shopper.flush()
    nobody = shopper.profile_by("anonymousId", shopper.device)
    assert [each["type"] for each in nobody["identifiers"]] == ["anonymousId"]

    # The login makes one person of the device and the customer, with all of the past.
    shopper.logs_in()
    person = shopper.profile_by("email", shopper.email)
    for kind, value in [("anonymousId", shopper.device), ("userId", shopper.user_id)]:
        assert shopper.profile_by(kind, value)["profileId"] == person["profileId"]
    assert {each["type"] for each in person["identifiers"]} == {"anonymousId", "userId", "email"}
    assert person["traits"]["firstName"]["value"] == "Ada"
    assert [event.get("event", event["type"]) for event in shopper.timeline()] == [
        "Product Viewed", "Product Viewed", "Product Added", "identify"]
    [added] = shopper.events("Product Added")
    # The SDK's clock is the machine's, the installation's is the rehearsal's: sentAt tells the skew.
    added_at = parse_instant(added["timestamp"])
    assert abs(added_at - martlet.now()) < timedelta(minutes=1)
    assert parse_instant(added["timestamp"]) <= parse_instant(added["receivedAt"])

    consent = shopper.consents()
    assert consent
    standing = martlet.get("consent", f"/v1/profiles/{shopper.profile_id}/consents")
    assert "granted" in str(standing)

    # An hour after the cart was filled, and not a millisecond before.
    entered_at = added_at + HOUR
    martlet.advance_to(entered_at - MILLISECOND)
    assert shopper.membership("cart-open") is None
    assert shopper.instances("abandoned-cart") == []
    assert mailbox.to(shopper.email) == []
    martlet.advance(MILLISECOND)
    membership = shopper.membership("cart-open")
    assert parse_instant(membership["enteredAt"]) == entered_at
    assert added["messageId"] in str(membership["evidence"])
    exported = martlet.call(
        "GET", "segmentation", "/v1/segments/cart-open/export", params={"fields": "email,traits.firstName,phone"})
    assert {"profileId": shopper.profile_id, "enteredAt": membership["enteredAt"], "version": "1",
            "email": shopper.email, "traits.firstName": "Ada", "phone": ""} in csv.DictReader(io.StringIO(exported.text))
    # Who may see segments may not therefore see addresses.
    key = martlet.martlet("keys", "create", "--name", "lists", "--scope", "segments:read").strip().splitlines()[-1]
    for fields, status in [({}, 200), ({"fields": "email"}, 403)]:
        answer = martlet.call("GET", "segmentation", "/v1/segments/cart-open/export", key=key, params=fields)
        assert answer.status_code == status, answer.text
    [instance] = shopper.instances("abandoned-cart")
    assert instance["status"] == "running" and parse_instant(instance["enteredAt"]) == entered_at
    assert parse_instant(instance["dueAt"]) == entered_at + 23 * HOUR
    history = martlet.get("journeys", f"/v1/instances/{instance['id']}")["history"]
    assert [entry["kind"] for entry in history][:2] == ["entered", "sent"]
    assert history[0]["cause"]["kind"] == "segment"

    # The reminder.
    [reminder] = mailbox.to(shopper.email)
    [message] = shopper.messages()
    check_mail(martlet, reminder, message, entered_at, "abandoned-cart-reminder")
    assert "Brown teapot" in reminder.subject
    for kind in ("html", "plain"):
        text = reminder.part(kind)
        assert "Ada" in text and "Blue cup" in text, "the name, and what goes with a teapot"
        assert "Sold-out saucer" not in text and "{{" not in text and "{%" not in text
    assert message["evidence"]["decision"] and message["evidence"]["facts"]["consents"][0]["state"] == "granted"
    assert shopper.email not in str(message["evidence"]), "evidence outlives the address"

    # Opened, and clicked.
    [pixel] = [html.unescape(image) for image in reminder.images if "/t/o/" in image]
    image = martlet.http.get(pixel, timeout=30)
    assert image.status_code == 200 and image.headers["content-type"] == "image/gif"
    assert image.content.startswith(b"GIF8")
    tracked = [html.unescape(link) for link in reminder.links if "/t/c/" in link]
    assert tracked and all(link.startswith(martlet.url("delivery")) for link in tracked)
    landed = [martlet.http.get(link, timeout=30, allow_redirects=False) for link in tracked]
    assert {answer.status_code for answer in landed} == {302}
    assert TEAPOT["url"] in {answer.headers["location"] for answer in landed}
    martlet.drain()
    for name in ["Email Delivered", "Email Opened"]:
        [event] = shopper.events(name)
        assert event["properties"]["email_id"] == message["messageId"]
        assert event["properties"]["campaign_id"] == "abandoned-cart"
    clicks = shopper.events("Email Link Clicked")
    assert {click["properties"]["link_url"] for click in clicks} >= {TEAPOT["url"], CUP["url"]}
    engagement = martlet.get("delivery", f"/v1/messages/{message['messageId']}")["engagement"]
    assert {each["kind"] for each in engagement} == {"open", "click"}

    # The discount comes 23 hours later, and not a millisecond before.
    martlet.advance_to(entered_at + 23 * HOUR - MILLISECOND)
    assert len(mailbox.to(shopper.email)) == 1
    martlet.advance(MILLISECOND)
    _, discount = mailbox.to(shopper.email)
    _, message = shopper.messages()
    check_mail(martlet, discount, message, entered_at + 23 * HOUR, "abandoned-cart-discount")
    assert "10" in discount.part("plain")

    # The purchase, a minute later, ends the journey at once.
    martlet.advance("1m")
    shopper.does("Order Completed", {
        "order_id": "order-1", "total": 24.5, "revenue": 24.5, "currency": "GBP",
        "products": [{**TEAPOT, "quantity": 1}]})
    [order] = shopper.events("Order Completed")
    [instance] = shopper.instances("abandoned-cart")
    assert instance["status"] == "ended" and instance["endReason"] == "event"
    assert parse_instant(instance["endedAt"]) == parse_instant(order["timestamp"])
    assert shopper.membership("cart-open") is None
    martlet.advance("7d")
    assert len(mailbox.to(shopper.email)) == 2, "nobody is called for the last time after buying"
    assert len(shopper.messages()) == 2
    assert martlet.quarantined() == []


def test_an_unsubscribe_keeps_the_next_mail_back_and_says_why(shop, mailbox):
    martlet = shop
    shopper = Shopper(martlet, "Grace")
    added_at = shopper.fills_a_cart()
    martlet.advance_to(added_at + HOUR)
    [reminder] = mailbox.to(shopper.email)
    [first] = shopper.messages()
    url = reminder.unsubscribe_url

    # Whatever follows links changes nothing.
    for method in ("GET", "HEAD"):
        page = martlet.http.request(method, url, timeout=30)
        assert page.status_code in (200, 405)
    martlet.drain()
    assert martlet.value("SELECT count(*) FROM delivery.suppression") == 0
    assert shopper.events("Unsubscribed") == []
    assert state_of_consent(martlet, shopper) == "granted"
    assert "<form" in martlet.http.get(url, timeout=30).text

    # One click, as a mail program makes it (RFC 8058), twice.
    for _ in range(2):
        answer = martlet.http.post(url, data={"List-Unsubscribe": "One-Click"}, timeout=30)
        assert answer.status_code == 200, answer.text
    martlet.drain()
    [event] = shopper.events("Unsubscribed")
    assert event["properties"]["email_id"] == first["messageId"]
    assert state_of_consent(martlet, shopper) == "withdrawn"

    # The next mail of the journey would come now.
    wanted_at = added_at + 24 * HOUR
    martlet.advance_to(wanted_at)
    assert len(mailbox.to(shopper.email)) == 1
    _, kept_back = shopper.messages()
    assert kept_back["status"] == "suppressed"
    assert kept_back["reason"] in ("consentWithdrawn", "suppressed")
    assert parse_instant(kept_back["wantedAt"]) == wanted_at
    evidence = kept_back["evidence"]
    assert evidence["decision"] and evidence["facts"]["consents"][0]["state"] == "withdrawn"
    assert evidence["facts"]["contacts"][0]["suppressions"][0]["reason"] == "unsubscribed"
    [told] = shopper.events("Email Not Sent")
    assert told["properties"]["reason"] == kept_back["reason"]
    assert told["properties"]["email_id"] == kept_back["messageId"]
    assert martlet.quarantined() == []


def test_without_consent_nothing_is_sent_and_the_reason_is_kept(shop, mailbox):
    martlet = shop
    shopper = Shopper(martlet, "Mary")
    shopper.anonymously("Product Added", {"cart_id": "cart-3", "quantity": 1, **TEAPOT})
    shopper.flush()
    shopper.logs_in()
    [added] = shopper.events("Product Added")
    martlet.advance_to(parse_instant(added["timestamp"]) + HOUR)
    assert mailbox.to(shopper.email) == []
    [message] = shopper.messages()
    assert (message["status"], message["reason"]) == ("suppressed", "noConsent")
    assert shopper.events("Email Not Sent")[0]["properties"]["reason"] == "noConsent"


def test_an_undone_merge_gives_each_the_mails_that_are_theirs(shop, mailbox):
    martlet = shop
    hers, his = Shopper(martlet, "Emmy"), Shopper(martlet, "David")
    for shopper in (hers, his):
        shopper.logs_in()
    own = {shopper.profile_id: shopper for shopper in (hers, his)}
    merge = martlet.call("POST", "identity", "/v1/merges", expect=201, json={
        "profileIds": list(own), "note": "they pay with the same card"})
    martlet.drain()
    # Whoever's profile goes on is hers here.
    hers = own.pop(hers.profile_id)
    [(his_id, his)] = own.items()

    # The reminder is wanted of the one person whom the two are taken for, and can't be delivered yet.
    his.does("Consent Granted", {"purpose": "marketing"})
    his.does("Product Added", {"cart_id": "his", "quantity": 1, **TEAPOT})
    [added] = his.events("Product Added")
    added_at = parse_instant(added["timestamp"])
    mailbox.refuse = "451 4.7.1 try again"
    martlet.advance_to(added_at + HOUR)
    [message] = hers.messages()
    assert (message["status"], message["attempts"]) == ("waiting", 1)
    assert mailbox.to(hers.email) == mailbox.to(his.email) == []

    # It was his cart, and his consent. A message that was never tried at his address is tried at once.
    martlet.call("POST", "identity", f"/v1/merges/{merge['mergeId']}/undo", expect=200, json={"note": "a couple"})
    martlet.drain()
    assert hers.messages() == [] and hers.instances("abandoned-cart") == []
    [message] = his.messages()
    assert (message["status"], message["attempts"]) == ("waiting", 2)
    [instance] = his.instances("abandoned-cart")
    assert instance["status"] == "running" and parse_instant(instance["dueAt"]) == added_at + 24 * HOUR
    mailbox.refuse = None
    martlet.advance("2m")
    [reminder] = mailbox.to(his.email)
    assert his.name in reminder.part("plain") and reminder.id == message["messageId"]
    [message] = his.messages()
    facts = message["evidence"]["facts"]
    assert message["status"] == "delivered" and message["evidence"]["correction"]["kind"] in ("restated", "renewed")
    assert {consent["profileId"] for consent in facts["consents"]} == {his_id}
    assert facts["unmerges"] and all(unmerge["isFollowed"] for unmerge in facts["unmerges"])
    martlet.advance("23h")
    assert len(mailbox.to(his.email)) == 2 and mailbox.to(hers.email) == []
    assert martlet.quarantined() == []


def test_the_sdk_is_told_of_a_wrong_key(shop):
    wrong = segment.analytics.client.Client(
        "wrong-key", host=shop.url("ingestion"), sync_mode=True, max_retries=0)
    with pytest.raises(APIError) as refusal:
        wrong.track(user_id="nobody", event="Never")
    assert refusal.value.status == 401


def test_every_call_of_the_sdk_arrives(shop):
    martlet = shop
    shopper = Shopper(martlet, "Edith")
    sdk = shopper.sdk
    sdk.identify(shopper.user_id, {"email": shopper.email, "plan": "free"})
    sdk.track(shopper.user_id, "Support Ticket Opened", {"ticket": 1})
    sdk.page(shopper.user_id, "Docs", "Start", {"url": "https://shop.example/"})
    sdk.screen(shopper.user_id, "App", "Home", {"dark": True})
    sdk.group(shopper.user_id, "company-1", {"name": "Works"})
    sdk.alias(shopper.device, shopper.user_id)
    shopper.flush()
    assert sorted(event["type"] for event in shopper.timeline()) == [
        "alias", "group", "identify", "page", "screen", "track"]
    assert shopper.profile_by("anonymousId", shopper.device)["profileId"] == shopper.profile_id


def state_of_consent(martlet, shopper):
    return martlet.value(
        "SELECT state FROM profiles.consent_state WHERE purpose = 'marketing' AND profile_id = %s", shopper.profile_id)


def check_mail(martlet, mail, message, wanted_at, template):
    """A mail, and the message that it is of."""
    assert mail.id == message["messageId"]
    assert message["status"] == "delivered" and message["template"] == template
    assert parse_instant(message["wantedAt"]) == wanted_at
    assert parsedate_to_datetime(mail.message["Date"]) == wanted_at.replace(microsecond=0), write_instant(wanted_at)
    assert mail.message["List-Unsubscribe"].startswith(f"<{martlet.url('delivery')}/t/u/")
    assert mail.message["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    assert mail.message["Auto-Submitted"] == "auto-generated"
    assert message["evidence"]["facts"]["templateVersion"] == 1
