"""How fast people take their consent back, and how fast they are forgotten.

    .martlet/venv/bin/python Tests/Benchmarks/bench_consent.py [withdrawals|erasures|permits|enforcement ...]

**Withdrawals** over 64 connections, each the answer to one call that commits a row of the ledger, the end of its chain, the
person behind it, what stands, and the fact for the others; beside pgbench's durable inserts of one row over as many
connections, in turns, MARTLET_BENCH_REPEATS (5) times. **Erasures**: one person with 10,000 events (MARTLET_BENCH_EVENTS)
while 200 events a second (MARTLET_BENCH_RATE) come in, from the request to the receipt of all seven services, five times;
and 10,000 people at once (MARTLET_BENCH_ERASURES). What the figures are held to stands beside them. Run by
`make bench-consent`, on a release build.

**Permits**: asking for consent once beside deciding an event's segments, of 200, in turns in one process.
**Enforcement**: batches of 100 events to ingestion, whose policy asks for consent of every event, beside a policy that asks
for none; everybody has granted it, so that as much is stored.
"""

import json
import os
import random
import re
import subprocess
import sys
import tempfile
import threading
import time
import uuid
from pathlib import Path

import requests

import bench_ingestion
from ground import REPEATS, SERVICES, Installation, durable_commits, machine, memory, memory_table, middle, wait_for

CONNECTIONS = 64
SECONDS = int(os.environ.get("MARTLET_BENCH_SECONDS", "10"))
PROFILES = int(os.environ.get("MARTLET_BENCH_PROFILES", "20000"))
EVENTS = int(os.environ.get("MARTLET_BENCH_EVENTS", "10000"))
RATE = int(os.environ.get("MARTLET_BENCH_RATE", "200"))
ERASURES = int(os.environ.get("MARTLET_BENCH_ERASURES", "10000"))
BATCH = 1_000

# Everybody, one after the other; 201 is the only answer that counts.
WRK = """
local ids = {}
for line in io.lines("FILE") do ids[#ids + 1] = line end
local at = 0
function setup(thread) math.randomseed(SEED) end
function init() at = SEED * 7919 % #ids end
function request()
  at = at % #ids + 1
  return wrk.format("POST", "/v1/consents", wrk.headers, '{"subject":{"profileId":"' .. ids[at] ..
    '"},"purpose":"marketing","action":"withdraw","source":"bench"}')
end
function response(status) if status ~= 201 then io.write("ANSWER " .. status .. "\\n") end end
function done(summary, latency)
  io.write(string.format("REQUESTS %d %d BAD %d P50 %d P99 %d\\n", summary.requests, summary.duration,
    summary.errors.status + summary.errors.read + summary.errors.timeout + summary.errors.connect,
    latency:percentile(50), latency:percentile(99)))
end
"""

INSERT = """\\set shard random(0, 63)
INSERT INTO bench.row (shard, profile_id, purpose, state, at)
VALUES (:shard, gen_random_uuid(), 'marketing', 'withdrawn', now());
"""


def person(number):
    return {
        "identifiers": [
            {"type": "userId", "value": f"user-{number}"}, {"type": "email", "value": f"person-{number}@example.com"},
            {"type": "anonymousId", "value": f"browser-{number}"}],
        "traits": {"firstName": f"Anna{number % 997}", "lastName": f"Meier{number % 9973}", "city": "Bern"}}


def session_of(installation):
    session = requests.Session()
    session.trust_env = False
    session.headers["Authorization"] = f"Bearer {installation.admin_key}"
    return session


def in_threads(count, work):
    """Runs `work(number)` in so many threads, and raises what any of them has raised."""
    wrong = []

    def guarded(number):
        try:
            work(number)
        except BaseException as error:  # noqa: BLE001
            wrong.append(error)

    threads = [threading.Thread(target=guarded, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if wrong:
        raise wrong[0]


def load(installation, first, count):
    """Makes people as any caller would, and returns their profiles in the order of their numbers."""
    found = {}

    def send(offset):
        session = session_of(installation)
        for begin in range(first + offset * BATCH, first + count, 2 * BATCH):
            numbers = range(begin, min(first + count, begin + BATCH))
            answer = session.post(
                installation.url("identity") + "/v1/profiles/batch", timeout=120,
                json={"items": [person(number) for number in numbers]})
            assert answer.status_code == 200 and answer.json()["refused"] == 0, answer.text[:500]

    in_threads(2, send)

    def look_up(offset):
        session = session_of(installation)
        for number in range(first + offset, first + count, 8):
            answer = session.post(
                installation.url("identity") + "/v1/profiles/lookup", timeout=60,
                json={"type": "userId", "value": f"user-{number}"})
            assert answer.status_code == 200, answer.text[:500]
            found[number] = answer.json()["profileId"]

    in_threads(8, look_up)
    return [found[number] for number in range(first, first + count)]


# Withdrawals.


def withdraw(installation, profiles, seed):
    """Withdrawals a second over HTTP, and the median and the 99th percentile in milliseconds."""
    with tempfile.TemporaryDirectory() as directory:
        people, script = Path(directory) / "people", Path(directory) / "withdraw.lua"
        people.write_text("\n".join(profiles) + "\n")
        script.write_text(WRK.replace("FILE", str(people)).replace("SEED", str(seed)))
        done = subprocess.run(
            ["wrk", "-t1", f"-c{CONNECTIONS}", f"-d{SECONDS}s", "--latency", "-H", "Content-Type: application/json",
             "-H", f"Authorization: Bearer {installation.admin_key}", "-s", script, installation.url("consent")],
            check=True, capture_output=True, text=True)
    served, microseconds, bad, p50, p99 = map(
        int, re.search(r"REQUESTS (\d+) (\d+) BAD (\d+) P50 (\d+) P99 (\d+)", done.stdout).groups())
    assert bad == 0 and "ANSWER" not in done.stdout, done.stdout[:500]
    return served / (microseconds / 1e6), p50 / 1e3, p99 / 1e3


def in_pgbench(installation):
    """Durable inserts of one row a second, over as many connections."""
    with tempfile.TemporaryDirectory() as directory:
        script = Path(directory) / "insert.sql"
        script.write_text(INSERT)
        pgbench = max(Path("/usr/lib/postgresql").glob("*/bin/pgbench"))
        done = subprocess.run(
            [pgbench, "-n", "-c", str(CONNECTIONS), "-j", "1", "-M", "prepared", "-T", str(SECONDS), "-f", script,
             installation.postgres.url("martlet")], check=True, capture_output=True, text=True, cwd=directory)
    return float(re.search(r"tps = ([0-9.]+)", done.stdout).group(1))


def withdrawals():
    installation = Installation("bench-withdrawals", rehearsal=False, examples=False)
    try:
        installation.start()
        profiles = load(installation, 0, PROFILES)
        installation.drain(within=600)
        installation.sql("CREATE SCHEMA bench")
        installation.sql(
            """CREATE TABLE bench.row (shard smallint NOT NULL, profile_id uuid NOT NULL, purpose text NOT NULL,
                 state text NOT NULL, at timestamptz NOT NULL, PRIMARY KEY (shard, profile_id, purpose))""")
        ours, theirs, ratios, p50s, p99s = [], [], [], [], []
        for number in range(REPEATS):
            inserts = in_pgbench(installation)
            rate, p50, p99 = withdraw(installation, profiles, number + 1)
            ours.append(rate), theirs.append(inserts), ratios.append(rate / inserts)
            p50s.append(p50), p99s.append(p99)
            print(f"run {number + 1} of {REPEATS}: {rate:.0f}/s beside {inserts:.0f}/s", file=sys.stderr)
        audit = installation.get("consent", "/v1/audit/verify", timeout=600)
        assert audit["valid"], "the ledger doesn't verify"
        held = memory(installation)
    finally:
        installation.remove()
    print(f"""
### Withdrawals

{machine()}. {CONNECTIONS} connections, {SECONDS} s each, in turns; {PROFILES:,} people. The median of {REPEATS} runs
(least–most). Afterwards the ledger of {audit["entries"]:,} entries verified.

| | |
|---|---|
| withdrawals, each answered when it is committed | {middle(ours)}/s |
| p50, p99 | {middle(p50s, "{:.1f}")} ms, {middle(p99s, "{:.1f}")} ms |
| durable inserts of one row, pgbench | {middle(theirs)}/s |
| share, no less than 0.5 | {middle(ratios, "{:.2f}")} |

{memory_table([held])}
""")


# Erasures.


class Traffic(threading.Thread):
    """Other people's events, at a steady rate, until it is stopped."""

    def __init__(self, installation):
        super().__init__(daemon=True)
        self.installation = installation
        self.sent, self.wrong = 0, None
        self._ended = threading.Event()

    def run(self):
        session = requests.Session()
        session.trust_env = False
        url, auth = self.installation.url("ingestion") + "/v1/batch", (self.installation.write_key, "")
        chance, started = random.Random(7), time.monotonic()
        every = max(1, RATE // 10)
        try:
            while not self._ended.is_set():
                time.sleep(max(0.0, started + self.sent / RATE - time.monotonic()))
                answer = session.post(url, auth=auth, timeout=60, json={"batch": [
                    {"type": "track", "event": "Product Viewed", "anonymousId": f"other-{chance.randrange(1000)}",
                     "messageId": str(uuid.uuid4()), "properties": {"sku": f"MS-{chance.randrange(900)}"}}
                    for _ in range(every)]})
                assert answer.status_code == 200, answer.text[:500]
                self.sent += every
        except BaseException as error:  # noqa: BLE001
            self.wrong = error

    def stop(self):
        self._ended.set()
        self.join(60)
        if self.wrong:
            raise self.wrong


def somebody(installation, number):
    """A person with many events of all kinds, in every store that there is."""
    user = f"big-{number}"
    for begin in range(0, EVENTS, 500):
        installation.collect("batch", {"batch": [
            {"type": "identify", "messageId": f"{user}-i-{begin}", "userId": user, "anonymousId": f"{user}-browser",
             "traits": {"email": f"{user}@example.com", "firstName": "Ada", "visits": begin}}
        ] + [
            {"type": "track", "messageId": f"{user}-{n}", "userId": user, "anonymousId": f"{user}-browser",
             "event": "Order Completed" if n % 50 == 0 else "Product Added" if n % 5 == 0 else "Product Viewed",
             "properties": {"sku": f"MS-{n % 900}", "product_id": f"MS-{n % 900}", "order_id": f"{user}-{n}",
                            "total": "12.50", "currency": "GBP",
                            "products": [{"product_id": f"MS-{n % 900}", "price": "12.50", "quantity": 1}]}}
            for n in range(begin, min(EVENTS, begin + 499))]})
    installation.drain(within=600)
    profile = installation.call(
        "POST", "identity", "/v1/profiles/lookup", expect=200, json={"type": "userId", "value": user})["profileId"]
    for action in ("grant", "withdraw"):
        installation.call("POST", "consent", "/v1/consents", expect=201, json={
            "subject": {"profileId": profile}, "purpose": "marketing", "action": action, "source": "bench"})
    return profile


def ask(session, installation, profile):
    answer = session.post(
        installation.url("consent") + "/v1/privacy-requests", timeout=120,
        json={"type": "erasure", "subject": {"profileId": profile}})
    assert answer.status_code == 202, answer.text[:500]
    return answer.json()["id"]


def erase_one(installation, number):
    """How long from the request to the receipt, in seconds, and the receipt."""
    profile, session = somebody(installation, number), session_of(installation)
    traffic = Traffic(installation)
    traffic.start()
    try:
        time.sleep(2)
        started = time.monotonic()
        request = ask(session, installation, profile)

        def receipt():
            found = session.get(installation.url("consent") + f"/v1/privacy-requests/{request}", timeout=60).json()
            return found if found["status"] != "pending" else None

        done = wait_for(receipt, "the receipt", within=300, every=0.02)
        took = time.monotonic() - started
    finally:
        traffic.stop()
    assert done["status"] == "completed", json.dumps(done)[:2000]
    counts = {result["service"]: result["result"] for result in done["results"]}
    assert set(counts) == set(SERVICES) and counts["identity"]["timelineEntries"] >= EVENTS
    return took, counts


def erase_many(installation, first):
    """How many people a second are forgotten, from the first request to the last receipt."""
    profiles = load(installation, first, ERASURES)
    installation.drain(within=600)
    started = time.monotonic()

    def request(offset):
        session = session_of(installation)
        for profile in profiles[offset::16]:
            ask(session, installation, profile)

    in_threads(16, request)
    asked = time.monotonic() - started

    def all_done():
        left = installation.value(
            """SELECT count(*) FROM consent.privacy_request
               WHERE status = 'pending' AND profile_id = ANY(%s::uuid[])""", profiles)
        return left == 0

    wait_for(all_done, f"{ERASURES} receipts", within=3600, every=0.5)
    took = time.monotonic() - started
    failed = installation.value(
        "SELECT count(*) FROM consent.privacy_request WHERE status <> 'completed' AND profile_id = ANY(%s::uuid[])",
        profiles)
    left = installation.value(
        "SELECT count(*) FROM profiles.identifier WHERE profile_id = ANY(%s::uuid[])", profiles)
    assert (failed, left) == (0, 0), f"{failed} failed, {left} identifiers are left"
    return ERASURES / took, asked


def erasures():
    installation = Installation("bench-erasures", rehearsal=False, examples=True)
    try:
        installation.start()
        taken, counts = [], {}
        for number in range(REPEATS):
            took, counts = erase_one(installation, number)
            taken.append(took)
            print(f"run {number + 1} of {REPEATS}: {took:.2f} s", file=sys.stderr)
        rate, asked = erase_many(installation, 0)
        commits = sorted(durable_commits(installation))
        held = memory(installation)
    finally:
        installation.remove()
    rows = sum(value for result in counts.values() for value in result.values() if isinstance(value, int))
    print(f"""
### Erasures

{machine()}. All seven services with the example segments and journeys; the median of {REPEATS} runs (least–most).

| | |
|---|---|
| a person with {EVENTS:,} events ({rows:,} rows in the receipt), while {RATE} events/s come in; below 5 s | {middle(taken, "{:.2f}")} s |
| {ERASURES:,} people at once, from the first request to the last receipt; no less than 20/s | {rate:.1f}/s |
| the requests themselves | {ERASURES / asked:,.0f}/s |
| one durable commit on this machine, p50 | {commits[len(commits) // 2]:.2f} ms |

{memory_table([held])}
""")


# Asking for consent.


def permits():
    """One question beside one event's segments, in one process."""
    binary = Path(os.environ["MARTLET_BIN_DIRECTORY"]) / "SegmentationBenchmark"
    runs = [json.loads(subprocess.run([binary, "permits", "200", "200000", "5000"], check=True, capture_output=True,
                                      text=True).stdout) for _ in range(REPEATS)]
    assert all(0.5 < run["permitted"] < 1 for run in runs), runs
    asking, deciding = [run["permits"] for run in runs], [run["decide"] for run in runs]
    print(f"""
### Permits

{machine()}. 200 live segments, a policy of four purposes; the median of {REPEATS} runs (least–most).

| | |
|---|---|
| asking whether a use is permitted | {middle(asking)} ns |
| deciding the segments of an event | {middle(deciding)} ns |
| share, below 5 % | {middle([100 * ask / decide for ask, decide in zip(asking, deciding)], "{:.1f}")} % |
""")


VISITORS = 5_000
POLICY = {"purposes": {
    "analytics": {"name": "Analytics", "legalBasis": "consent", "lasts": "P13M", "text": {"version": "1"}}}}
ENFORCED = POLICY | {"requires": {"events": {"Product Viewed": ["analytics"]}}}


def enforcement():
    installation = Installation("bench-enforcement", rehearsal=False, examples=False, environment={
        "MARTLET_INGESTION_SOURCE_ITEMS_PER_SECOND": "10000000", "MARTLET_RATE_LIMIT_PER_SECOND": "1000000",
        "MARTLET_RATE_LIMIT_BURST": "1000000"})

    def put(policy):
        installation.call("PUT", "consent", "/v1/consent-policy", json=policy, expect=200)
        # Others follow within two seconds.
        time.sleep(2.5)

    try:
        installation.start()
        put(POLICY)
        installation.take_over()
        for service in list(installation.processes):
            if service not in ("ingestion", "identity", "consent"):
                installation.stop_service(service)
        for first in range(0, VISITORS, 500):
            numbers = range(first, first + 500)
            answer = installation.call("POST", "identity", "/v1/profiles/batch", expect=200, json={"items": [
                {"identifiers": [{"type": "anonymousId", "value": f"visitor-{number}"}]} for number in numbers]})
            assert answer["refused"] == 0, answer["items"][:3]
            answer = installation.call("POST", "consent", "/v1/consents/batch", expect=200, json=[
                {"subject": {"identifier": {"type": "anonymousId", "value": f"visitor-{number}"}},
                 "purpose": "analytics", "action": "grant", "source": "bench",
                 "occurredAt": "2026-11-01T08:00:00.000Z"} for number in numbers])
            assert answer["refused"] == 0, answer["items"][:3]
        installation.stop_service("identity")
        bench_ingestion.batches(installation)
        ours, without = [], []
        for number in range(REPEATS):
            for policy, rates in ((POLICY, without), (ENFORCED, ours)):
                put(policy)
                rates.append(bench_ingestion.batches(installation))
            print(f"run {number + 1} of {REPEATS}: {ours[-1]:,.0f}/s beside {without[-1]:,.0f}/s", file=sys.stderr)
        # That it was enforced: who never granted it is counted and not stored.
        body = {"batch": [bench_ingestion.event(1, "stranger") | {"anonymousId": "stranger"}]}
        answer = installation.collect("batch", body)
        assert answer["refused"] == 1, answer
    finally:
        installation.remove()
    ratios = [with_it / least for with_it, least in zip(ours, without)]
    print(f"""
### Ingestion with consent asked of every event

{machine()}. {bench_ingestion.EVENTS:,} events a run in batches of {bench_ingestion.BATCH} over {bench_ingestion.CONNECTIONS}
connections, of {VISITORS:,} visitors who have granted it; in turns; the median of {REPEATS} runs (least–most).

| | |
|---|---|
| events a second, every one of which needs consent | {middle(ours)}/s |
| events a second, where none does | {middle(without)}/s |
| ratio, no less than 0.9 | {middle(ratios, "{:.2f}")} |
""")


if __name__ == "__main__":
    work = {"withdrawals": withdrawals, "erasures": erasures, "permits": permits, "enforcement": enforcement}
    for name in sys.argv[1:] or list(work):
        work[name]()
