"""Deadlines that are all due within one minute: how many a second, and what becomes of live events meanwhile.

    .martlet/venv/bin/python Tests/Benchmarks/bench_segmentation_deadlines.py

MARTLET_BENCH_PEOPLE (1,000,000) people have each looked at something, within one minute, and ten minutes later leave the
segment of who did. Their events are written into the timeline by SQL, which identity serves as any others. While the
deadlines fire, somebody new comes in through ingestion each second, and enters a segment; the clock runs from the sending
to the entry. MARTLET_BENCH_LEAD (seconds) is how long before the first deadline the events are there.
"""

import os
import statistics
import sys
import time
import uuid

import psycopg

from bench_identity_resolution import PAGE, now
from bench_segmentation_stream import behind, count, put
from ground import Installation, SERVICES, machine, wait_for

PEOPLE = int(os.environ.get("MARTLET_BENCH_PEOPLE", "1000000"))
LEAD = int(os.environ.get("MARTLET_BENCH_LEAD", str(30 + PEOPLE // 5_000)))

WRITE = """
WITH person AS (
    SELECT n, gen_random_uuid() AS id, n %% 64 AS shard, n / 64 + 1 AS place,
           date_trunc('milliseconds', now() - interval '10 minutes' + make_interval(secs => %(lead)s)
               + n * interval '60 seconds' / %(people)s) AS at
    FROM generate_series(0, %(people)s - 1) AS n
)
INSERT INTO profiles.timeline
    (shard, "offset", key, recorded_at, body, profile_id, occurred_at, type, name, message_id)
SELECT p.shard, p.place + coalesce(h.next_offset, 1) - 1, p.id::text, now(), json_build_object(
           'kind', 'event', 'profileId', p.id, 'arrivedUnder', p.id, 'event', json_build_object(
               'messageId', 'd' || n, 'type', 'track', 'event', 'Product Viewed', 'sourceId', %(source)s::text,
               'timestamp', to_char(p.at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"'),
               'receivedAt', to_char(p.at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"')))::text,
       p.id, p.at, 'track', 'Product Viewed', 'd' || n
FROM person p LEFT JOIN identity.stream_head h ON h.shard = p.shard AND h.stream = 'profile-events'
"""
HEADS = """
INSERT INTO identity.stream_head (shard, stream, next_offset)
SELECT shard, 'profile-events', max("offset") + 1 FROM profiles.timeline GROUP BY shard
ON CONFLICT (shard, stream) DO UPDATE SET next_offset = excluded.next_offset
"""


def measure(installation):
    installation.take_over()
    for service in SERVICES:
        if service not in ("ingestion", "identity", "segmentation"):
            installation.stop_service(service)
    put(installation, "recent", count("Product Viewed", 1, "10m"))
    put(installation, "probe", count("Probe Sent", 1))
    with psycopg.connect(installation.postgres.url("martlet"), autocommit=True) as connection:
        with connection.transaction():
            connection.execute(WRITE, {"people": PEOPLE, "lead": LEAD, "source": str(uuid.uuid4())})
            connection.execute(HEADS)
        written = time.monotonic()
        wait_for(lambda: behind(connection, "profile-events", "identity", "segmentation") == 0, "the events",
                 within=3600, every=0.2)
        print(f"{PEOPLE / (time.monotonic() - written):,.0f} events/s", file=sys.stderr, flush=True)

        def one(query):
            return connection.execute(query).fetchone()[0]

        waiting = one("SELECT count(*) FROM segmentation.deadline")
        late = one("SELECT count(*) FROM segmentation.deadline WHERE due_at <= now()")
        print(f"{waiting:,} deadlines, {late:,} of them due already", file=sys.stderr, flush=True)
        wait_for(lambda: one("SELECT count(*) FROM segmentation.deadline WHERE due_at <= now()") > 0, "the first",
                 within=3600, every=0.05)
        began, taken, number, lags = time.monotonic(), [], 0, []
        while True:
            sent = time.monotonic()
            installation.collect("batch", {"batch": [{
                "type": "track", "messageId": str(uuid.uuid4()), "userId": f"probe-{number}", "event": "Probe Sent",
                "timestamp": now(), "context": PAGE}]})
            number += 1
            wait_for(lambda: one("SELECT count(*) FROM profiles.membership WHERE segment = 'probe'") >= number,
                     "a live event", within=600, every=0.01)
            taken.append(time.monotonic() - sent)
            lags.append(float(one("SELECT coalesce(extract(epoch FROM now() - min(due_at)), 0) FROM segmentation.deadline")))
            if one("SELECT count(*) FROM segmentation.deadline") == 0:
                break
            time.sleep(max(0, 1 - (time.monotonic() - sent)))
        took = time.monotonic() - began
        exits = one("SELECT sum(exited) FROM segmentation.segment_hour WHERE segment = 'recent'")
    taken.sort()
    print("| deadlines within one minute | |\n|---|---|")
    print(f"| deadlines | {waiting:,} |\n| exits | {exits:,} |")
    print(f"| seconds from the first until all had fired | {took:.1f} |")
    print(f"| fired a second | {waiting / took:,.0f} |")
    print(f"| most that one was behind its instant, seconds | {max(lags):.1f} |")
    print(f"| live event to entry meanwhile, median | {statistics.median(taken) * 1000:.0f} ms |")
    print(f"| live event to entry meanwhile, longest of {len(taken)} | {taken[-1] * 1000:.0f} ms |")


def main():
    print(machine(), file=sys.stderr)
    installation = Installation("bench-segmentation-deadlines", rehearsal=False, examples=False).start()
    try:
        measure(installation)
    finally:
        installation.remove()


if __name__ == "__main__":
    main()
