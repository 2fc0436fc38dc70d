"""A year of a real shop's orders comes out as it went in, also when everything is killed on the way.

A part of the file is imported in peace, to fail fast and plainly; then the whole file, while every service, the
importer and PostgreSQL itself are killed with SIGKILL, again and again. MARTLET_KILLS (2 unless set) says how often
each service is killed; MARTLET_SEED in which order.
"""

import collections
import json
import os
import random
import signal
import subprocess
import tempfile
import time
from decimal import Decimal

import psycopg
import pytest

from installation import DATA, EXECUTABLES, REPOSITORY, SEED, SERVICES, Installation, wait_for
from reevaluation import Reevaluation
from retail_truth import read_truth, write_part
from sealing import Opener

FILE = DATA / "online-retail-2009-2010.csv.gz"
MAPPING = REPOSITORY / "deploy" / "examples" / "mappings" / "online-retail.yaml"
KILLS_EACH = int(os.environ.get("MARTLET_KILLS", "2"))
PART = 1500

pytestmark = pytest.mark.skipif(
    not FILE.exists(), reason=f"the orders are not at {FILE}; without them there is nothing to compare with")

# Two segments over all of a customer's life: whoever is lost or doubled on the way is in the wrong one.
OFTEN = 10
MUCH = 5000
SEGMENTS = {
    "ten-orders": {"rule": {"count": {"event": "Order Completed", "atLeast": OFTEN}}},
    "five-thousand-pounds": {
        "rule": {"sum": {"event": "Order Completed", "property": "total", "atLeast": MUCH}}},
}


# Segments of each kind of rule, also such as time alone leaves: whatever is told of them has to follow from its evidence.
ORDER, REFUND = "Order Completed", "Order Refunded"
WATCHED = {
    "spends-500-a-month": {"sum": {"event": ORDER, "property": "total", "within": "30d", "atLeast": 500}},
    "spends-much": {"sum": {"event": ORDER, "property": "total", "greaterThan": 40000}},
    "quiet-90-days": {"all": [{"count": {"event": ORDER}}, {"absent": {"event": ORDER, "within": "90d"}}]},
    "sends-back": {
        "ratio": {"of": {"event": REFUND}, "to": {"event": ORDER}, "within": "180d", "toAtLeast": 3,
                  "greaterThan": 0.25}},
    "large-orders": {"average": {"event": ORDER, "property": "total", "atLeast": 300}},
    "regular": {"count": {
        "event": ORDER, "within": {"days": 60, "zone": "Europe/London"}, "between": [4, 8]}},
    "back-in-a-week": {"sequence": {"steps": [{"event": ORDER}, {"event": REFUND, "within": "7d"}]}},
}


@pytest.fixture(scope="module")
def installation():
    installation = Installation("retail")
    try:
        yield installation.start()
    finally:
        installation.remove()


def test_a_part_of_the_file_comes_out_as_it_went_in(installation, tmp_path):
    part = tmp_path / "part.csv.gz"
    write_part(FILE, part, PART)
    truth = read_truth(part)
    assert truth.events > PART / 2
    define(installation)
    said = installation.martlet("import", part, "--mapping", MAPPING, within=900)
    print(said)
    installation.drain(within=600)
    compare(installation, truth)


def test_the_whole_file_comes_out_as_it_went_in_while_everything_is_killed(installation):
    truth = read_truth(FILE)
    define(installation)
    print(f"seed {SEED}")
    killings = Killings(installation, truth)
    started = time.monotonic()
    killings.run()
    print(f"imported in {time.monotonic() - started:.0f} s with {len(killings.done)} killings: {killings.done}")
    drain_after_crashes(installation)
    print(f"drained after {time.monotonic() - started:.0f} s")
    compare(installation, truth)
    sample(installation, truth)


def test_sending_the_file_again_doubles_nothing(installation, tmp_path):
    part = tmp_path / "again.csv.gz"
    write_part(FILE, part, 300)
    before = installation.value("SELECT count(*) FROM profiles.timeline")
    said = installation.martlet("import", part, "--mapping", MAPPING, within=600)
    assert "accepted 0 " in said, said
    installation.drain(within=300)
    assert installation.value("SELECT count(*) FROM profiles.timeline") == before
    compare(installation, read_truth(FILE))


def define(installation):
    for name, segment in SEGMENTS.items():
        installation.call("PUT", "segmentation", f"/v1/segments/{name}", json=segment, expect=(200, 201))
    for name, rule in WATCHED.items():
        installation.call("PUT", "segmentation", f"/v1/segments/{name}", json={"rule": rule}, expect=(200, 201))


class Killings:
    """Imports the whole file and kills somebody each time another part of the work is done."""

    def __init__(self, installation, truth):
        self.installation = installation
        # Ingestion, identity and segmentation each have so many facts to take.
        self.work = 3 * truth.events
        self.victims = [*SERVICES, "postgresql"] * KILLS_EACH + ["postgresql", "import"]
        random.Random(SEED).shuffle(self.victims)
        self.done = []
        self.importer = None
        self.output = tempfile.TemporaryFile("w+")

    def run(self):
        self.start_import()
        step = self.work * 0.9 / len(self.victims)
        for number, victim in enumerate(self.victims):
            wanted = step * (number + 1)
            wait_for(lambda: self.progress() >= wanted, f"{wanted:.0f} of {self.work} facts", within=600, every=0.2)
            self.kill(victim)
        status = wait_for(self.importer_end, "the import to end", within=1200, every=0.2)
        assert status == "ended with 0", f"the import {status}:\n{self.said()}"

    def start_import(self):
        self.importer = subprocess.Popen(
            [EXECUTABLES / "martlet", "import", FILE, "--mapping", MAPPING, "--directory",
             self.installation.directory],
            env=self.installation.command_environment(), stdout=self.output, stderr=self.output)

    def importer_end(self):
        status = self.importer.poll()
        return None if status is None else f"ended with {status}"

    def said(self):
        self.output.seek(0)
        return self.output.read()[-5000:]

    def progress(self):
        """How many facts were taken so far; 0 while the database is away."""
        if self.importer.poll() not in (None, 0, -signal.SIGKILL):
            raise AssertionError(f"the import {self.importer_end()}:\n{self.said()}")
        try:
            return self.installation.value(
                """SELECT (SELECT coalesce(sum(next_offset - 1), 0) FROM ingestion.stream_head WHERE stream = 'events')
                     + (SELECT coalesce(sum("offset"), 0) FROM identity.stream_checkpoint WHERE stream = 'events')
                     + (SELECT coalesce(sum("offset"), 0) FROM segmentation.stream_checkpoint
                        WHERE stream = 'profile-events')""")
        except psycopg.Error:
            return 0

    def kill(self, victim):
        self.done.append(victim)
        if victim == "postgresql":
            self.installation.postgres.kill()
            self.installation.postgres.start()
        elif victim == "import":
            if self.importer.poll() is None:
                self.importer.kill()
                self.importer.wait()
            self.start_import()
        else:
            pid = wait_for(lambda: self.installation.pid(victim), f"{victim} to run", within=30)
            os.kill(pid, signal.SIGKILL)
            wait_for(lambda: self.installation.pid(victim) not in (None, pid), f"{victim} to come back", within=60)


def drain_after_crashes(installation):
    for service in SERVICES:
        installation.wait_for_ready(service)
    installation.drain(within=1200)


def compare(installation, truth):
    """Everything the file says against everything the profile store holds."""
    expected = {
        ("Order Completed", number): (invoice.customer, invoice.total, invoice.rows, invoice.quantity)
        for number, invoice in truth.orders.items()
    } | {
        ("Order Refunded", number): (invoice.customer, -invoice.total, invoice.rows, -invoice.quantity)
        for number, invoice in truth.refunds.items()
    }
    held, people, times = read_timeline(installation)
    assert len(held) == sum(times.values()), [key for key, count in times.items() if count > 1][:10]
    assert held.keys() == expected.keys(), sorted(held.keys() ^ expected.keys())[:10]
    wrong = {key: (held[key], expected[key]) for key in held if held[key] != expected[key]}
    assert wrong == {}, list(wrong.items())[:5]

    revenue = sum((value[1] for key, value in held.items() if key[0] == "Order Completed"), Decimal(0))
    assert revenue == truth.revenue
    refunded = sum((value[1] for key, value in held.items() if key[0] == "Order Refunded"), Decimal(0))
    assert refunded == truth.refunded

    known = list(Opener(installation).identifiers("userId"))
    customers = dict(known)
    assert len(known) == len(customers) and customers.keys() == truth.customers
    assert len(set(customers.values())) == len(customers), "two customers share a profile"
    by_customer = collections.Counter(
        people[key] for key in held if key[0] == "Order Completed" and people[key] in set(customers.values()))
    names = {profile: value for value, profile in customers.items()}
    assert {names[profile]: count for profile, count in by_customer.items()} == truth.orders_by_customer
    anonymous = sum(1 for invoice in [*truth.orders.values(), *truth.refunds.values()] if not invoice.customer)
    profiles = installation.value("SELECT count(*) FROM profiles.profile WHERE canonical_id = profile_id")
    assert profiles == len(customers) + anonymous

    compare_segments(installation, truth, customers)
    assert installation.quarantined() == []


def read_timeline(installation):
    """(event, invoice) → (customer, total, rows, quantity), and → canonical profile, and how often each is there."""
    held, people, times = {}, {}, collections.Counter()
    entries = Opener(installation).timeline("t.type = 'track' AND t.name IN ('Order Completed', 'Order Refunded')")
    for name, body, profile in entries:
        event = json.loads(body, parse_float=Decimal)["event"]
        properties = event["properties"]
        products = properties["products"]
        key = (name, properties["order_id"])
        total = Decimal(properties["total"])
        assert total == sum(
            (Decimal(product["price"]) * product["quantity"] for product in products), Decimal(0)), key
        held[key] = (
            event.get("userId") or "", total, len(products), sum(product["quantity"] for product in products))
        people[key] = profile
        times[key] += 1
    return held, people, times


def compare_segments(installation, truth, customers):
    """The members of both segments against the sums of the plain script."""
    spent = collections.Counter()
    for invoice in truth.orders.values():
        spent[invoice.customer] += invoice.total
    # Nobody without a customer's number ever orders twice; one order may still be worth much.
    much = {customers[customer] for customer, total in spent.items() if customer and total >= MUCH}
    single = sum(1 for invoice in truth.orders.values() if not invoice.customer and invoice.total >= MUCH)
    often = {customers[customer] for customer, count in truth.orders_by_customer.items() if count >= OFTEN}
    members = collections.defaultdict(set)
    for segment, profile in installation.sql(
            "SELECT segment, profile_id FROM profiles.membership WHERE segment = ANY(%s)", list(SEGMENTS)):
        members[segment].add(str(profile))
    assert members["ten-orders"] == often
    known = set(customers.values())
    assert members["five-thousand-pounds"] & known == much
    assert len(members["five-thousand-pounds"] - known) == single
    # The stream says the same as the table, and says it once: nobody leaves these segments.
    announced = collections.Counter(
        (body["segment"], body["profileId"], body["change"])
        for _, body in Opener(installation).stream("segmentation.stream_memberships", "segmentation")
        if body.get("segment") in SEGMENTS)
    assert {(segment, profile) for segment, profile, _ in announced} == {
        (segment, profile) for segment, profiles in members.items() for profile in profiles}
    decide_again(installation)
    doubled = {key: count for key, count in announced.items() if count > 1 or key[2] != "entered"}
    assert doubled == {}, list(doubled.items())[:5]


def decide_again(installation):
    """Every change follows from the evidence that it carries, from that alone."""
    opener = Opener(installation)
    again = Reevaluation(opener.events())
    counts = collections.Counter()
    for _, body in opener.stream("segmentation.stream_memberships", "segmentation"):
        if body.get("segment") in SEGMENTS.keys() | WATCHED.keys():
            again.check(body)
            counts[body["segment"], body["change"], body["reason"]] += 1
    # In a part of the file nobody spends so much.
    assert {segment for segment, _, _ in counts} | {"spends-much"} == SEGMENTS.keys() | WATCHED.keys(), counts
    assert any(reason == "time" for _, _, reason in counts)
    print(f"{sum(counts.values())} changes decided again, {again.summed} conditions with a summary: {dict(counts)}")


def sample(installation, truth, size=25):
    """Some customers through the front door: the API says what the tables say."""
    for customer in random.Random(SEED).sample(sorted(truth.customers), size):
        profile = installation.call(
            "POST", "identity", "/v1/profiles/lookup", json={"type": "userId", "value": customer}, expect=200)
        timeline = installation.items("identity", f"/v1/profiles/{profile['profileId']}/timeline", limit=100)
        told = collections.Counter(
            (item["event"], item["properties"]["order_id"]) for item in map(event_of, timeline))
        expected = {("Order Completed", number) for number, each in truth.orders.items() if each.customer == customer}
        expected |= {("Order Refunded", number) for number, each in truth.refunds.items() if each.customer == customer}
        assert told == collections.Counter(expected), customer


def event_of(item):
    """The event in an item of a timeline."""
    return item.get("event") if isinstance(item.get("event"), dict) else item
