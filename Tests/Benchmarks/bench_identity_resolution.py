"""How fast events are resolved to profiles, through to the timeline, beside a bare COPY of the same timeline rows.

    .martlet/venv/bin/python Tests/Benchmarks/bench_identity_resolution.py

The steady state of a shop: a million people are known (MARTLET_BENCH_PROFILES), each by a userId, an address and a
browser; of the events of a run nine in ten are what known browsers and people do, one in twenty is an identify call with
traits, one in twenty a browser that is new. They lie in the stream before identity starts, which then takes them in
batches, as it does whenever it is behind; ingestion, which serves the stream, and PostgreSQL share the cores with it. The
COPY of one connection brings the same rows of each run into a copy of the timeline, with its key and index and all that
was in it before; and, for comparison, into an empty one. In turns, MARTLET_BENCH_REPEATS (5) times. Run by
`make bench-identity`, on a release build.
"""

import json
import os
import random
import sys
import tempfile
import time
import uuid
from datetime import datetime, timezone

import psycopg

from bench_ingestion import BATCH, batches
from ground import REPEATS, SERVICES, Installation, machine, middle, wait_for

PROFILES = int(os.environ.get("MARTLET_BENCH_PROFILES", "1000000"))
EVENTS = int(os.environ.get("MARTLET_BENCH_EVENTS", "200000"))
PAGE = {"page": {"path": "/products/7", "referrer": "https://search.example/"}, "locale": "en-GB",
        "library": {"name": "bench", "version": "1"}}


def now():
    return datetime.now(timezone.utc).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def acquaintance(number):
    """The call by which somebody becomes known."""
    return {
        "type": "identify", "messageId": f"known-{number:08d}", "userId": f"user-{number}",
        "anonymousId": f"browser-{number}", "timestamp": now(),
        "traits": {"email": f"person-{number}@example.com", "plan": "pro"}, "context": PAGE}


def doing(number, run, chance):
    """What one of them does."""
    who = chance.randrange(PROFILES)
    call = {"messageId": f"{run}-{number:08d}", "timestamp": now(), "context": PAGE}
    kind = chance.random()
    if kind < 0.05:
        return call | {"type": "identify", "userId": f"user-{who}", "anonymousId": f"browser-{who}",
                       "traits": {"plan": "pro", "orders": number % 40}}
    call |= {
        "type": "track", "event": "Product Viewed",
        "properties": {"product_id": f"{number % 900}", "sku": f"MS-{number % 900}", "name": "Mug with a swift on it",
                       "price": "8.95", "currency": "GBP", "category": "Kitchen", "position": number % 20}}
    if kind < 0.10:
        return call | {"anonymousId": f"new-{run}-{number}"}
    if kind < 0.40:
        return call | {"userId": f"user-{who}", "anonymousId": f"browser-{who}"}
    return call | {"anonymousId": f"browser-{who}"}


def send(installation, events):
    """Puts events into the stream, through ingestion."""
    bodies = []
    for first in range(0, len(events), BATCH):
        bodies.append(json.dumps({"batch": events[first:first + BATCH]}).encode())
    batches(installation, bodies=bodies)


BEHIND = """
SELECT (SELECT coalesce(sum(next_offset - 1), 0) FROM ingestion.stream_head WHERE stream = 'events')
     - (SELECT coalesce(sum("offset"), 0) FROM identity.stream_checkpoint WHERE stream = 'events')"""


def resolve(installation):
    """Starts identity on what lies in the stream; events a second, from the first to the last that it takes."""
    # One session that asks now and then: a new one for each look would cost more than what it looks at.
    with psycopg.connect(installation.postgres.url("martlet"), autocommit=True) as connection:
        def behind():
            return connection.execute(BEHIND).fetchone()[0]

        waiting = behind()
        installation.start_service("identity")
        wait_for(lambda: behind() < waiting, "identity to begin", within=60, every=0.01)
        begun, left = time.monotonic(), behind()
        wait_for(lambda: behind() == 0, "identity to take everything", within=3600, every=0.05)
        took = time.monotonic() - begun
    installation.stop_service("identity")
    return float(left) / took


class Copies:
    """Two tables like the timeline, one with everything that the timeline has, the other empty before each run."""

    def __init__(self, installation):
        self.url = installation.postgres.url("martlet")
        with psycopg.connect(self.url, autocommit=True) as connection:
            for table in ("full", "empty"):
                connection.execute(f"CREATE TABLE public.timeline_{table} (LIKE profiles.timeline INCLUDING ALL)")
            connection.execute("INSERT INTO public.timeline_full SELECT * FROM profiles.timeline")
            connection.execute("VACUUM ANALYZE public.timeline_full")

    def run(self):
        """What the timeline has got since, as one COPY from a file into each; rows a second."""
        with tempfile.NamedTemporaryFile("wb") as file, psycopg.connect(self.url, autocommit=True) as connection:
            with connection.cursor().copy(
                    """COPY (SELECT t.* FROM profiles.timeline t
                             LEFT JOIN public.timeline_full f ON f.shard = t.shard AND f."offset" = t."offset"
                             WHERE f.shard IS NULL ORDER BY t.recorded_at, t.shard, t."offset") TO STDOUT""") as source:
                for block in source:
                    file.write(block)
            file.flush()
            rates = []
            for table in ("full", "empty"):
                started = time.monotonic()
                with connection.cursor().copy(f"COPY public.timeline_{table} FROM STDIN") as target, \
                        open(file.name, "rb") as source:
                    while block := source.read(1 << 20):
                        target.write(block)
                rates.append(EVENTS / (time.monotonic() - started))
            assert connection.execute("SELECT count(*) FROM public.timeline_empty").fetchone()[0] >= EVENTS
            connection.execute("TRUNCATE public.timeline_empty")
            return rates


def measure(installation):
    """Both in turns, and the table: bar 1 of identity's figures."""
    installation.take_over()
    for service in SERVICES:
        if service != "ingestion":
            installation.stop_service(service)
    started = time.monotonic()
    for first in range(0, PROFILES, 100_000):
        send(installation, [acquaintance(number) for number in range(first, min(PROFILES, first + 100_000))])
    told = time.monotonic() - started
    filling = resolve(installation)
    known = int(installation.value("SELECT count(*) FROM profiles.profile"))
    print(f"{known:,} profiles: told in {told:.0f} s, resolved at {filling:,.0f} events/s", file=sys.stderr, flush=True)
    installation.sql("VACUUM ANALYZE")
    copies = Copies(installation)
    ours, theirs, empty = [], [], []
    for run in range(REPEATS):
        name, chance = uuid.uuid4().hex[:8], random.Random(run)
        send(installation, [doing(number, name, chance) for number in range(EVENTS)])
        ours.append(resolve(installation))
        for rates, rate in zip((theirs, empty), copies.run()):
            rates.append(rate)
        print(f"run {run + 1}: {ours[-1]:,.0f} events/s, COPY {theirs[-1]:,.0f} rows/s ({empty[-1]:,.0f} into an empty "
              "table)", file=sys.stderr, flush=True)
    ratios = [one / other for one, other in zip(ours, theirs)]
    print(f"\n{known:,} profiles, {EVENTS:,} events a run.\n")
    print("| events to the timeline | a second |\n|---|---|")
    print(f"| resolved by identity | {middle(ours)} |")
    print(f"| bare COPY of the same rows into a copy of that timeline | {middle(theirs)} |")
    print(f"| bare COPY of the same rows into an empty table | {middle(empty)} |")
    print(f"\n{middle(ratios, '{:.2f}')} of the COPY (at least 0.35), and at least 10,000 events a second asked")
    return {"events": sorted(ours)[len(ours) // 2], "ratio": sorted(ratios)[len(ratios) // 2]}


def main():
    print(machine(), file=sys.stderr)
    installation = Installation("bench-identity-resolution", rehearsal=False, examples=False).start()
    try:
        measure(installation)
    finally:
        installation.remove()


if __name__ == "__main__":
    main()
