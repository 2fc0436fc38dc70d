"""Any one service may be away for a while under load: nothing is lost and nothing is doubled, at any stage.

Every service is away for MARTLET_STOP_SECONDS (4 unless set; `make soak` sets 60) while MARTLET_STOP_RATE events a
second (100 unless set) go on arriving.
"""

import os
from collections import Counter

import pytest

from installation import SERVICES, wait_for_a_moment
from load import Load, address, define
from sealing import Opener

SECONDS = float(os.environ.get("MARTLET_STOP_SECONDS", "4"))
RATE = float(os.environ.get("MARTLET_STOP_RATE", "100"))
# The load is what is counted; the examples would add memberships and messages of their own.
EXAMPLES = False


@pytest.fixture(scope="module")
def loaded(martlet):
    """The installation under load, and the load."""
    define(martlet)
    martlet.take_over()
    load = Load(martlet, RATE)
    load.start()
    yield martlet, load
    load.stop()


@pytest.mark.parametrize("service", SERVICES)
def test_a_service_is_away_under_load_and_comes_back(loaded, service):
    martlet, load = loaded
    before = len(load.acknowledged)
    martlet.stop_service(service)
    wait_for_a_moment(SECONDS)
    if service != "ingestion":
        assert len(load.acknowledged) > before, f"collecting stood still while {service} was away"
    martlet.start_service(service)
    martlet.wait_for_ready(service)
    assert load.failure is None


def test_nothing_is_lost_and_nothing_is_doubled(loaded, mailbox):
    martlet, load = loaded
    load.stop()
    martlet.drain(within=300)
    shoppers = load.shoppers
    print(f"{len(load.acknowledged)} events of {len(shoppers)} shoppers, {load.retries} batches tried again")
    assert load.acknowledged

    timeline = Counter(dict(martlet.sql(
        "SELECT message_id, count(*) FROM profiles.timeline WHERE message_id LIKE 'load-%%' GROUP BY 1")))
    assert differences(timeline, load.acknowledged) == {}, "the timeline"

    people = {
        value.removeprefix("load-"): profile for value, profile in Opener(martlet).identifiers("userId")
    }
    assert differences(Counter(people), shoppers) == {}, "the profiles"
    profiles = set(people.values())
    assert len(profiles) == len(shoppers), "two shoppers share a profile"

    entered = Counter(
        (body["profileId"], body["change"])
        for _, body in Opener(martlet).stream("segmentation.stream_memberships", "segmentation"))
    assert differences(entered, {(profile, "entered") for profile in profiles}) == {}, "the stream of memberships"
    members = Counter(
        str(row[0]) for row in martlet.sql(
            "SELECT profile_id FROM profiles.membership WHERE segment = 'load-buyers'"))
    assert differences(members, profiles) == {}, "the memberships"

    intents = Counter(
        body["profileId"] for _, body in Opener(martlet).stream("journeys.stream_intents", "journeys"))
    assert differences(intents, profiles) == {}, "the intents"

    messages = Counter(str(row[0]) for row in martlet.sql("SELECT profile_id FROM delivery.message"))
    assert differences(messages, profiles) == {}, "the messages"
    states = dict(martlet.sql("SELECT state, count(*) FROM delivery.message GROUP BY 1"))
    assert states == {"delivered": len(shoppers)}, "the states of the messages"

    mails = Counter(recipient for mail in mailbox.mails for recipient in mail.recipients)
    assert differences(mails, {address(shopper) for shopper in shoppers}) == {}, "the mails"

    outcomes = Counter(str(row[0]) for row in martlet.sql(
        """SELECT p.canonical_id FROM profiles.timeline t JOIN profiles.profile p ON p.profile_id = t.profile_id
           WHERE t.name = 'Email Delivered'"""))
    assert differences(outcomes, profiles) == {}, "the outcomes on the timeline"
    assert martlet.quarantined() == []


def differences(counted, expected):
    """What is there not exactly once, at most ten of them."""
    wrong = {key: 0 for key in set(expected) - set(counted)}
    wrong |= {key: counted[key] for key in counted if key not in expected}
    wrong |= {key: counted[key] for key in expected if isinstance(counted[key], int) and counted[key] > 1}
    return dict(list(wrong.items())[:10])
