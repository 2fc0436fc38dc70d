"""How fast events are resolved to profiles, through to the timeline, beside a bare COPY of the same timeline rows.

    .martlet/venv/bin/python Tests/Benchmarks/bench_identity_resolution.py

The steady state of a shop: a million people are known (MARTLET_BENCH_PROFILES), each by a userId, an address and a
browser; of the events of a run nine in ten are what known browsers and people do, one in twenty is an identify call with
traits, one in twenty a browser that is new. They lie in the stream before identity starts, which then takes them in
batches, as it does whenever it is behind; ingestion, which serves the stream, and PostgreSQL share the cores with it. The
COPY of one connection goes to an empty table with the timeline's own key and index. In turns, MARTLET_BENCH_REPEATS (5)
times. Run by `make bench-identity`, on a release build.
"""

import json
import os
import random
import sys
import tempfile
import time
import uuid
from pathlib import Path

import psycopg

from bench_ingestion import BATCH, batches
from ground import REPEATS, SERVICES, Installation, machine, middle, wait_for

PROFILES = int(os.environ.get("MARTLET_BENCH_PROFILES", "1000000"))
EVENTS = int(os.environ.get("MARTLET_BENCH_EVENTS", "200000"))
PAGE = {"page": {"path": "/products/7", "referrer": "https://search.example/"}, "locale": "en-GB",
        "library": {"name": "bench", "version": "1"}}


def acquaintance(number):
    """The call by which somebody becomes known."""
    return {
        "type": "identify", "messageId": f"known-{number:08d}", "userId": f"user-{number}",
        "anonymousId": f"browser-{number}", "timestamp": "2026-11-01T02:33:00.000Z",
        "traits": {"email": f"person-{number}@example.com", "plan": "pro"}, "context": PAGE}


def doing(number, run, chance):
    """What one of them does."""
    who = chance.randrange(PROFILES)
    call = {"messageId": f"{run}-{number:08d}", "timestamp": "2026-11-21T02:33:00.000Z", "context": PAGE}
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


def behind(installation):
    """How many events identity has not taken yet."""
    return int(installation.value(
        """SELECT (SELECT coalesce(sum(next_offset - 1), 0) FROM ingestion.stream_head WHERE stream = 'events')
                - (SELECT coalesce(sum("offset"), 0) FROM identity.stream_checkpoint WHERE stream = 'events')"""))


def resolve(installation):
    """Starts identity on what lies in the stream; events a second, from the first to the last that it takes."""
    waiting = behind(installation)
    installation.start_service("identity")
    wait_for(lambda: behind(installation) < waiting, "identity to begin", within=60, every=0.005)
    begun, left = time.monotonic(), behind(installation)
    wait_for(lambda: behind(installation) == 0, "identity to take everything", within=3600, every=0.02)
    took = time.monotonic() - begun
    installation.stop_service("identity")
    return left / took


def copy(installation, rows):
    """The timeline rows of a run as one COPY from a file, rows a second."""
    with tempfile.NamedTemporaryFile("wb") as file, psycopg.connect(
            installation.postgres.url("martlet"), autocommit=True) as connection:
        last = connection.execute('SELECT coalesce(sum(next_offset - 1), 0) FROM identity.stream_head').fetchone()[0]
        count = 0
        with connection.cursor().copy(
                f"""COPY (SELECT * FROM profiles.timeline ORDER BY recorded_at DESC LIMIT {rows}) TO STDOUT""") as source:
            for block in source:
                file.write(block)
                count += bytes(block).count(b"\n")
        file.flush()
        connection.execute("DROP TABLE IF EXISTS public.bench_timeline")
        connection.execute("CREATE TABLE public.bench_timeline (LIKE profiles.timeline INCLUDING ALL)")
        started = time.monotonic()
        with connection.cursor().copy("COPY public.bench_timeline FROM STDIN") as target, open(file.name, "rb") as source:
            while block := source.read(1 << 20):
                target.write(block)
        took = time.monotonic() - started
        connection.execute("DROP TABLE public.bench_timeline")
        assert last > 0 and count > 0
        return count / took


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
    ours, theirs = [], []
    for run in range(REPEATS):
        name, chance = uuid.uuid4().hex[:8], random.Random(run)
        send(installation, [doing(number, name, chance) for number in range(EVENTS)])
        ours.append(resolve(installation))
        theirs.append(copy(installation, EVENTS))
        print(f"run {run + 1}: {ours[-1]:,.0f} events/s, COPY {theirs[-1]:,.0f} rows/s", file=sys.stderr, flush=True)
    ratios = [one / other for one, other in zip(ours, theirs)]
    print(f"\n{known:,} profiles, {EVENTS:,} events a run.\n")
    print("| events to the timeline | a second |\n|---|---|")
    print(f"| resolved by identity | {middle(ours)} |")
    print(f"| bare COPY of the same timeline rows | {middle(theirs)} |")
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
