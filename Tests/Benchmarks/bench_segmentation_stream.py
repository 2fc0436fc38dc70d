"""From `profile-events` to committed `memberships`: how many events a second, and how soon.

    .martlet/venv/bin/python Tests/Benchmarks/bench_segmentation_stream.py

Twenty segments, and MARTLET_BENCH_PEOPLE (50,000) people who do what shoppers do. First how much: the events of a run lie
in the timeline before segmentation starts, which then takes them as it does whenever it is behind; identity, which serves
the stream, and PostgreSQL share the cores with it. Then how soon: 1,000 events a second come in through ingestion, each
makes somebody enter a segment; the clock runs from when a listener has its row of the timeline until one has the entry;
beside it PostgreSQL's own floor, a row inserted, NOTIFY and commit until the same listener has it. And a new segment over
all that was done, beside a COPY of the columns that it reads. In turns, MARTLET_BENCH_REPEATS (5) times. Run by
`make bench-segmentation`, on a release build.
"""

import json
import os
import random
import statistics
import sys
import threading
import time
import uuid

import psycopg
import requests

from bench_identity_resolution import PAGE, now, send
from ground import REPEATS, SERVICES, Installation, machine, middle, wait_for

PEOPLE = int(os.environ.get("MARTLET_BENCH_PEOPLE", "50000"))
EVENTS = int(os.environ.get("MARTLET_BENCH_EVENTS", "100000"))
SECONDS, RATE, EACH = 10, 1_000, 10
CATEGORIES = ["Shoes", "Shirts", "Coats", "Hats", "Bags", "Belts"]


def count(event, least, within=None, **more):
    """A condition."""
    rule = {"event": event, "atLeast": least} | more
    return {"count": rule | ({"within": within} if within else {})}


RULES = {
    **{f"viewers-{hours}h": count("Product Viewed", 2 + hours // 12, f"{hours}h") for hours in (6, 12, 24, 48)},
    **{f"adders-{days}d": count("Product Added", 2, f"{days}d") for days in (1, 3, 7)},
    **{f"buyers-{least}": count("Order Completed", least) for least in (1, 2, 3)},
    **{f"spenders-{least}": {"sum": {"event": "Order Completed", "property": "total", "within": "30d", "atLeast": least}}
       for least in (100, 300, 500)},
    **{f"lapsed-{days}d": {"all": [count("Order Completed", 1), {"absent": {
        "event": "Order Completed", "within": f"{days}d"}}]} for days in (10, 30)},
    "abandoners": {"sequence": {"steps": [{"event": "Checkout Started"}, {"not": {"event": "Order Completed"},
                                                                           "within": "24h"}], "within": "7d"}},
    "shoe-lovers": count("Product Viewed", 2, "14d", where=[{"property": "category", "equals": "Shoes"}]),
    "explorers": {"distinct": {"event": "Product Viewed", "property": "category", "within": "7d", "atLeast": 3}},
    "recent": {"last": {"event": "Order Completed", "within": "7d"}},
    "readers": count("Email Opened", 2, "30d"),
}


def acquaintance(number):
    """The call by which somebody becomes known."""
    return {"type": "identify", "messageId": str(uuid.uuid4()), "userId": f"shopper-{number}", "timestamp": now(),
            "traits": {"plan": "pro"}, "context": PAGE}


def doing(chance):
    """What one of them does: mostly looking, seldom buying."""
    event = {"type": "track", "messageId": str(uuid.uuid4()), "userId": f"shopper-{chance.randrange(PEOPLE)}",
             "timestamp": now(), "context": PAGE}
    kind = chance.random()
    name, properties = "Email Opened", {}
    if kind < 0.72:
        name = "Product Viewed" if kind < 0.55 else "Product Added"
        sku = chance.randrange(2_000)
        properties = {"sku": f"MS-{sku}", "name": "Mug with a swift on it", "price": "8.95", "currency": "GBP",
                      "category": CATEGORIES[sku % len(CATEGORIES)], "position": sku % 20}
    elif kind < 0.82:
        name = "Checkout Started"
    elif kind < 0.89:
        name, properties = "Order Completed", {"total": 5 + chance.randrange(195), "currency": "GBP"}
    return event | {"event": name, "properties": properties}


def behind(connection, stream, table, reader):
    """How many records a reader has yet to take."""
    return connection.execute(
        f"""SELECT (SELECT coalesce(sum(next_offset - 1), 0) FROM {table}.stream_head WHERE stream = %s)
                 - (SELECT coalesce(sum("offset"), 0) FROM {reader}.stream_checkpoint WHERE stream = %s)""",
        (stream, stream)).fetchone()[0]


def resolved(installation):
    """Waits until identity has taken what was sent."""
    with psycopg.connect(installation.postgres.url("martlet"), autocommit=True) as connection:
        wait_for(lambda: behind(connection, "events", "ingestion", "identity") == 0, "identity", within=3600)


def decided(installation):
    """Starts segmentation on what lies in the timeline; events a second, and changes of memberships for each."""
    with psycopg.connect(installation.postgres.url("martlet"), autocommit=True) as connection:
        def left():
            return behind(connection, "profile-events", "identity", "segmentation")

        def changes():
            return connection.execute(
                "SELECT coalesce(sum(next_offset - 1), 0) FROM segmentation.stream_head").fetchone()[0]

        waiting, before = left(), changes()
        installation.start_service("segmentation")
        wait_for(lambda: left() < waiting, "segmentation to begin", within=60, every=0.01)
        begun, rest = time.monotonic(), left()
        wait_for(lambda: left() == 0, "segmentation to take everything", within=3600, every=0.1)
        took = time.monotonic() - begun
        made = changes() - before
    return float(rest) / took, float(made) / float(waiting)


class Listener:
    """Hears of rows of a table as they are committed, on a thread with a connection of its own."""

    def __init__(self, url, channel, table):
        self.url, self.channel = url, channel
        self.begin = f'SELECT shard, max("offset") FROM {table} GROUP BY shard'
        # By the index for each shard: left to itself PostgreSQL may read the whole table with workers at each signal, and
        # then it is the listener that everybody waits for.
        self.query = f"""SELECT l.shard, t."offset", t.key FROM unnest(%s::smallint[], %s::bigint[]) AS l (shard, last)
                         CROSS JOIN LATERAL (SELECT "offset", key FROM {table} t
                                             WHERE t.shard = l.shard AND t."offset" > l.last OFFSET 0) t"""
        self.heard, self.stopped, self.ready = {}, False, threading.Event()
        self.thread = threading.Thread(target=self.run)
        self.thread.start()
        self.ready.wait()

    def run(self):
        """Asks what is new at each signal; the first time that somebody is seen counts."""
        with psycopg.connect(self.url, autocommit=True) as connection:
            connection.execute(f"LISTEN {self.channel}")
            # One plan for all times, and no look for a better one at the size of the table.
            connection.execute("SET plan_cache_mode = force_generic_plan")
            connection.execute("SET enable_seqscan = off")
            connection.execute("SET max_parallel_workers_per_gather = 0")
            last = dict.fromkeys(range(64), 0) | dict(connection.execute(self.begin).fetchall())
            self.ready.set()
            while not self.stopped:
                if not any(True for _ in connection.notifies(timeout=0.5, stop_after=1)):
                    continue
                rows = connection.execute(self.query, (list(last), list(last.values()))).fetchall()
                at = time.monotonic()
                for shard, offset, key in rows:
                    last[shard] = max(last.get(shard, 0), offset)
                    self.heard.setdefault(key, at)

    def stop(self):
        """Everything that was heard."""
        self.stopped = True
        self.thread.join()
        return self.heard


def paced(work):
    """Calls for each lot of ten at its instant, over some threads; when each was due."""
    lots, started, due = SECONDS * RATE // EACH, time.monotonic() + 0.2, {}

    def run(first):
        for number in range(first, lots, 8):
            due[number] = started + number * EACH / RATE
            time.sleep(max(0.0, due[number] - time.monotonic()))
            work(first, number)

    threads = [threading.Thread(target=run, args=(first,)) for first in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return due


def percentiles(taken):
    """p50 and p99 in milliseconds."""
    taken = sorted(taken)
    return statistics.median(taken) * 1000, taken[len(taken) * 99 // 100] * 1000


def floor(installation):
    """A row, NOTIFY and commit to the listener, as often and by as many connections."""
    url = installation.postgres.url("martlet")
    installation.sql('CREATE TABLE IF NOT EXISTS public.floor (shard smallint, "offset" bigserial, key text, '
                     'PRIMARY KEY (shard, "offset"))')
    installation.sql("TRUNCATE public.floor")
    listener = Listener(url, "floor", "public.floor")
    connections = [psycopg.connect(url, autocommit=True) for _ in range(8)]

    def work(thread, number):
        with connections[thread].transaction():
            connections[thread].execute(
                "INSERT INTO public.floor (shard, key) SELECT 0, %s || '-' || n FROM generate_series(1, %s) n",
                (str(number), EACH))
            connections[thread].execute("SELECT pg_notify('floor', '')")

    due = paced(work)
    time.sleep(1)
    heard = listener.stop()
    for connection in connections:
        connection.close()
    return percentiles([at - due[int(key.split("-")[0])] for key, at in heard.items()])


def soon(installation, run):
    """Event to entry, at 1,000 events a second."""
    name = f"latecomers-{run}"
    put(installation, name, count(f"Latecomer {run}", 1))
    caught_up(installation)
    listener = Listener(
        installation.postgres.url("martlet"), "stream_memberships", "segmentation.stream_memberships")
    timeline = Listener(installation.postgres.url("martlet"), "stream_profile_events", "profiles.timeline")
    url, sessions = installation.url("ingestion"), [requests.Session() for _ in range(8)]

    def work(thread, number):
        batch = [{"type": "track", "messageId": str(uuid.uuid4()), "userId": f"shopper-{number * EACH + place}",
                  "event": f"Latecomer {run}", "timestamp": now(), "context": PAGE} for place in range(EACH)]
        answer = sessions[thread].post(f"{url}/v1/batch", json={"batch": batch}, auth=(installation.write_key, ""))
        assert answer.status_code == 200, answer.text

    due = paced(work)
    time.sleep(3)
    entered, resolved = listener.stop(), timeline.stop()
    people = [(installation.ids[number * EACH + place], number) for number in due for place in range(EACH)]
    return (*percentiles([entered[person] - resolved[person] for person, _ in people]),
            *percentiles([entered[person] - due[number] for person, number in people]))


def caught_up(installation):
    """Waits until everybody is decided by the rules in force; the seconds since the call."""
    started = time.monotonic()
    with psycopg.connect(installation.postgres.url("martlet"), autocommit=True) as connection:
        wait_for(lambda: connection.execute(
            """SELECT count(*) FROM segmentation.backfill
               WHERE position IS NOT NULL OR revision < (SELECT revision FROM segmentation.segment_set)"""
        ).fetchone()[0] == 0, "the backfill", within=3600, every=0.02)
    return time.monotonic() - started


def history(installation, run):
    """A new segment over everything that anybody did, and a COPY of what that takes of the timeline; events a second."""
    with psycopg.connect(installation.postgres.url("martlet"), autocommit=True) as connection:
        started, size = time.monotonic(), 0
        with connection.cursor().copy(
                "COPY (SELECT profile_id, occurred_at, type, name, body FROM profiles.timeline) TO STDOUT") as source:
            for block in source:
                size += len(block)
        copied = time.monotonic() - started
        events = connection.execute("SELECT count(*) FROM profiles.timeline").fetchone()[0]
    put(installation, f"history-{run}", count("Product Viewed", 2, f"{30 + run}d", where=[
        {"property": "category", "equals": CATEGORIES[run % len(CATEGORIES)]}]))
    return events / caught_up(installation), events / copied, events


def put(installation, name, rule):
    """Makes a segment."""
    installation.call("PUT", "segmentation", f"/v1/segments/{name}", json={"rule": rule}, expect=(200, 201))


def look_up(installation):
    """The profile of each of those who come late."""
    installation.ids = []
    for first in range(0, SECONDS * RATE, 100):
        found = installation.call(
            "POST", "identity", "/v1/profiles/lookup", expect=200, json={"identifiers": [
                {"type": "userId", "value": f"shopper-{number}"} for number in range(first, first + 100)]})
        items = next(value for value in found.values() if isinstance(value, list))
        installation.ids += [each["profile"]["profileId"] for each in items]


def measure(installation):
    """Both, and their tables: row 3 of segmentation's figures."""
    installation.take_over()
    for service in SERVICES:
        if service not in ("ingestion", "identity", "segmentation"):
            installation.stop_service(service)
    for name, rule in RULES.items():
        put(installation, name, rule)
    send(installation, [acquaintance(number) for number in range(PEOPLE)])
    resolved(installation)
    with psycopg.connect(installation.postgres.url("martlet"), autocommit=True) as connection:
        wait_for(lambda: behind(connection, "profile-events", "identity", "segmentation") == 0, "segmentation",
                 within=3600)
    look_up(installation)
    rates, made = [], []
    for run in range(REPEATS):
        installation.stop_service("segmentation")
        chance = random.Random(run)
        send(installation, [doing(chance) for _ in range(EVENTS)])
        resolved(installation)
        rate, changes = decided(installation)
        rates.append(rate)
        made.append(changes)
        print(f"run {run + 1}: {rate:,.0f} events/s, {changes:.2f} changes for each", file=sys.stderr, flush=True)
    backfills, copies, events = [], [], 0
    for run in range(REPEATS):
        rate, copied, events = history(installation, run)
        backfills.append(rate)
        copies.append(copied)
        print(f"run {run + 1}: backfill {rate:,.0f} events/s, COPY {copied:,.0f}", file=sys.stderr, flush=True)
    ours, floors = [], []
    for run in range(REPEATS):
        floors.append(floor(installation))
        ours.append(soon(installation, run))
        print(f"run {run + 1}: p50 {ours[-1][0]:.1f}, p99 {ours[-1][1]:.1f} ms (since sent {ours[-1][2]:.1f}, "
              f"{ours[-1][3]:.1f}); floor {floors[-1][0]:.1f}, "
              f"{floors[-1][1]:.1f}", file=sys.stderr, flush=True)
    print(f"\n{len(RULES)} segments, {PEOPLE:,} people, {EVENTS:,} events a run, {statistics.median(made):.2f} changes "
          "of memberships for each event.\n")
    print("| events to memberships | |\n|---|---|")
    print(f"| a second, from the timeline to committed memberships (at least 10,000 asked) | {middle(rates)} |")
    share = statistics.median(backfills) / statistics.median(copies)
    print(f"| events a second, backfill of a new segment over {events:,} | {middle(backfills)} |")
    print(f"| events a second, COPY of the columns that it reads | {middle(copies)} |")
    print(f"| backfill ÷ COPY (at least 0.5 asked) | {share:.2f} |")
    for place, label in enumerate(("p50", "p99")):
        mine, least = [each[place] for each in ours], [each[place] for each in floors]
        ratio = statistics.median(mine) / statistics.median(least)
        print(f"| {label} from the timeline to the entry, at {RATE:,} events/s | {middle(mine, '{:.1f}')} ms |")
        print(f"| {label} of insert, NOTIFY and commit to the same listener | {middle(least, '{:.1f}')} ms |")
        print(f"| {label}, times the floor (at most 10 asked) | {ratio:.1f} |")
        sent = [each[2 + place] for each in ours]
        print(f"| {label} from the event's sending to the entry | {middle(sent, '{:.1f}')} ms |")


def main():
    print(machine(), file=sys.stderr)
    installation = Installation("bench-segmentation-stream", rehearsal=False, examples=False).start()
    try:
        measure(installation)
    finally:
        installation.remove()


if __name__ == "__main__":
    main()
