"""A steady load of shoppers, sent as an SDK sends: batches, tried again with the same messageIds until answered."""

import threading
import time
import uuid
from collections import Counter

import requests

# What the load sets going: everyone who orders enters the segment once, starts the journey once, gets one mail.
SEGMENT = {"rule": {"count": {"event": "Order Completed", "atLeast": 1}}}
TEMPLATE = {
    "subject": "Thank you, {{ profile.traits.firstName }}",
    "html": "<html><body><p>Thank you.</p><a href=\"https://shop.example/orders\">Your order</a></body></html>",
    "text": "Thank you.",
}
JOURNEY = """\
name: Thanks for each first order
status: active
entry:
  segment: load-buyers
  reentry: once
steps:
  - send:
      template: load-thanks
      channel: email
      purpose: transactional
"""


def define(martlet):
    """Puts the definitions that the load needs."""
    martlet.call("PUT", "segmentation", "/v1/segments/load-buyers", json=SEGMENT, expect=(200, 201))
    martlet.call("PUT", "delivery", "/v1/templates/load-thanks", json=TEMPLATE, expect=(200, 201))
    martlet.call(
        "PUT", "journeys", "/v1/journeys/load-thanks", data=JOURNEY, headers={"Content-Type": "application/yaml"},
        expect=(200, 201))


class Load(threading.Thread):
    """Sends `per_second` events a second until told to stop; each shopper is an identify and an order."""

    def __init__(self, martlet, per_second, batches_per_second=10):
        super().__init__(daemon=True)
        self.url = martlet.url("ingestion") + "/v1/batch"
        self.write_key = martlet.write_key
        self.pause = 1 / batches_per_second
        self.shoppers_per_batch = max(1, round(per_second / batches_per_second / 2))
        self.acknowledged = set()
        self.shoppers = set()
        self.retries = 0
        # What was answered, and how often; what came without an answer.
        self.answers = Counter()
        self.unanswered = []
        self.failure = None
        self._stopped = threading.Event()

    def run(self):
        session = requests.Session()
        session.trust_env = False
        next_at = time.monotonic()
        try:
            while not self._stopped.is_set():
                self._deliver(session, self._batch())
                next_at += self.pause
                # After an outage the backlog is sent as fast as it is taken.
                self._stopped.wait(max(0.0, next_at - time.monotonic()))
        except Exception as error:
            self.failure = error

    def _batch(self):
        shoppers = [uuid.uuid4().hex[:12] for _ in range(self.shoppers_per_batch)]
        events = []
        for shopper in shoppers:
            events.append({
                "type": "identify", "messageId": f"load-{shopper}-identify", "userId": f"load-{shopper}",
                "traits": {"email": address(shopper), "firstName": "Ada"}})
            events.append({
                "type": "track", "messageId": f"load-{shopper}-order", "userId": f"load-{shopper}",
                "event": "Order Completed",
                "properties": {
                    "order_id": shopper, "total": "12.50", "currency": "EUR",
                    "products": [{"sku": "A-1", "quantity": 1, "price": "12.50"}]}})
        return events

    def _deliver(self, session, events):
        while True:
            try:
                answer = session.post(self.url, json={"batch": events}, auth=(self.write_key, ""), timeout=30)
                comes_back = "retry-after" in answer.headers
                self.answers[f"{answer.status_code} with Retry-After" if comes_back else answer.status_code] += 1
                if answer.status_code < 500 and answer.status_code != 429:
                    break
            except requests.RequestException as error:
                self.unanswered.append(repr(error))
            self.retries += 1
            time.sleep(0.1)
        assert answer.status_code == 200, f"{answer.status_code} {answer.text}"
        body = answer.json()
        refused = [item for item in body["items"] if item["status"] not in ("accepted", "duplicate")]
        assert not refused, refused
        self.acknowledged.update(event["messageId"] for event in events)
        self.shoppers.update(event["userId"].removeprefix("load-") for event in events)

    def stop(self):
        self._stopped.set()
        self.join(120)
        assert not self.is_alive(), "the load does not end"
        if self.failure:
            raise self.failure


def address(shopper):
    return f"{shopper}@load.example"
