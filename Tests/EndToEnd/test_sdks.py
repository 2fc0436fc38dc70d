"""Unmodified Python SDKs of Segment and RudderStack lose nothing and double nothing while PostgreSQL is away.

MARTLET_AWAY_SECONDS (8 unless set; a minute in `make soak`) says for how long it is.
"""

import os
import time
import uuid

import pytest
import rudderstack.analytics.client
import segment.analytics.client

from installation import wait_for, wait_for_a_moment

AWAY_SECONDS = float(os.environ.get("MARTLET_AWAY_SECONDS", "8"))
EXAMPLES = False
SDKS = {
    # Many retries: the pauses between them double, and the first come fast.
    "segment": lambda martlet, errors: segment.analytics.client.Client(
        martlet.write_key, host=martlet.url("ingestion"), max_retries=30, upload_interval=0.2, gzip=True,
        on_error=lambda error, _: errors.append(error)),
    "rudderstack": lambda martlet, errors: rudderstack.analytics.client.Client(
        martlet.write_key, host=martlet.url("ingestion"), max_retries=30, upload_interval=0.2,
        on_error=lambda error, _: errors.append(error)),
}


@pytest.mark.parametrize("sdk", SDKS)
def test_everything_arrives_once_although_postgresql_was_away(martlet, sdk):
    errors, sent = [], []
    client = SDKS[sdk](martlet, errors)
    mark = uuid.uuid4().hex[:8]

    def send(seconds):
        ends = time.monotonic() + seconds
        while time.monotonic() < ends:
            accepted, message = client.track(f"{mark}-{len(sent) % 20}", "Still Here", {"number": len(sent)})
            assert accepted
            sent.append(message["messageId"])
            wait_for_a_moment(0.02)

    try:
        send(2)
        martlet.postgres.kill()
        send(AWAY_SECONDS)
        martlet.postgres.start()
        send(2)

        def stored():
            return martlet.sql(
                "SELECT message_id FROM ingestion.message_key WHERE message_id = ANY(%s)", sent)

        wait_for(lambda: len(stored()) == len(sent), f"{len(sent)} messages", within=60 + 4 * AWAY_SECONDS, every=0.5)
    finally:
        client.join()
    assert errors == []
    martlet.drain()
    arrived = martlet.value(
        "SELECT count(*) FROM profiles.timeline WHERE message_id = ANY(%s)", sent)
    assert arrived == len(sent)
    assert martlet.get("ingestion", "/v1/reconciliation")["balanced"]


def test_what_is_refused_for_good_is_not_tried_again(martlet):
    """A 4xx says so in the words that RudderStack's SDK looks for; without them it would go on trying."""
    errors = []
    client = rudderstack.analytics.client.Client(
        "wk_wrong", host=martlet.url("ingestion"), max_retries=30, upload_interval=0.2,
        on_error=lambda error, _: errors.append(error))
    client.track("u", "Nobody's")
    wait_for(lambda: errors, "the SDK to give up", within=10)
    assert errors[0].status == 401 and errors[0].code == "unauthorized"
    client.join()
