"""How fast ingestion takes events, beside what this PostgreSQL does with the same rows and nobody between.

    .martlet/venv/bin/python Tests/Benchmarks/bench_ingestion.py [soak|growth]

Sides are interleaved, MARTLET_BENCH_REPEATS (5) times; the figures are ratios of medians. With `soak`, ten minutes at
half the rate besides, for the latency and for the memory; with `growth` nothing but what the stored log costs. Prints a
table for the README. Run by `make bench-ingestion`, on a release build.
"""

import http.client
import json
import re
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import uuid
from pathlib import Path

import psycopg

from ground import REPEATS, Installation, machine, middle

BATCH = 100
EVENTS = 60_000
CONNECTIONS = 8
SINGLE_SECONDS = 10
SOAK_SECONDS = 600

# The tables and indexes that ingestion itself writes to.
TABLES = """
CREATE TABLE message_key (LIKE ingestion.message_key INCLUDING ALL);
CREATE TABLE stream_events (LIKE ingestion.stream_events INCLUDING ALL);
CREATE TABLE single (shard smallint, "offset" bigserial, key text, recorded_at timestamptz, body text,
                     PRIMARY KEY (shard, "offset"));
"""


def event(number, run):
    """A typical event, about 400 bytes."""
    return {
        "type": "track", "messageId": f"{run}-{number:08d}", "anonymousId": f"visitor-{number % 5000}",
        "event": "Product Viewed", "timestamp": "2026-11-21T02:33:00.000Z",
        "properties": {"product_id": f"{number % 900}", "sku": f"MS-{number % 900}", "name": "Mug with a swift on it",
                       "price": "8.95", "currency": "GBP", "category": "Kitchen", "position": number % 20},
        "context": {"page": {"path": f"/products/{number % 900}", "referrer": "https://search.example/"},
                    "locale": "en-GB", "library": {"name": "bench", "version": "1"}},
    }


def requests_of(run):
    return [
        json.dumps({"batch": [event(number, run) for number in range(first, first + BATCH)]}).encode()
        for first in range(0, EVENTS, BATCH)]


def batches(installation, latencies=None, rate=None, bodies=None):
    """Sends all batches over some connections, each answered before the next; returns events/s."""
    bodies = bodies or requests_of(uuid.uuid4().hex[:8])
    headers = authorisation(installation) | {"Content-Type": "application/json"}
    failures = []

    def send(offset):
        connection = http.client.HTTPConnection("127.0.0.1", port(installation), timeout=60)
        for number in range(offset, len(bodies), CONNECTIONS):
            due = started + number * BATCH / rate if rate else 0
            if rate:
                time.sleep(max(0.0, due - time.monotonic()))
            before = due if rate else time.monotonic()
            connection.request("POST", "/v1/batch", bodies[number], headers)
            answer = connection.getresponse()
            text = answer.read()
            if answer.status != 200 or b'"accepted":100' not in text:
                failures.append((answer.status, text[:200]))
            if latencies is not None:
                latencies.append((time.monotonic() - before) * 1000)
        connection.close()

    started = time.monotonic()
    run_all([threading.Thread(target=send, args=(offset,)) for offset in range(CONNECTIONS)])
    took = time.monotonic() - started
    assert not failures, failures[:3]
    return len(bodies) * BATCH / took


def copied(installation, rows_each=BATCH):
    """The same rows by psql: COPY to a temp table, then INSERT … ON CONFLICT, in transactions of as many events."""
    run = uuid.uuid4().hex[:8]
    lines = ["CREATE TEMP TABLE b (shard smallint, source_id uuid, message_id text, key text, body text);"]
    source = str(uuid.uuid4())
    for first in range(0, EVENTS, rows_each):
        lines.append("BEGIN; TRUNCATE b; COPY b FROM STDIN;")
        for number in range(first, min(first + rows_each, EVENTS)):
            body = json.dumps(event(number, run), separators=(",", ":"))
            lines.append(f"{number % 64}\t{source}\t{run}-{number:08d}\tvisitor-{number % 5000}\t{body}")
        lines.append("\\.")
        lines.append(
            """WITH fresh AS (INSERT INTO bench.message_key SELECT shard, source_id, message_id, now() FROM b
               ON CONFLICT DO NOTHING RETURNING shard, message_id)
               INSERT INTO bench.stream_events (shard, "offset", key, recorded_at, body)
               SELECT b.shard, nextval('bench.offsets'), key, now(), body FROM b JOIN fresh USING (shard, message_id);
               COMMIT;""")
    with tempfile.NamedTemporaryFile("w", suffix=".sql") as script:
        script.write("\n".join(lines))
        script.flush()
        started = time.monotonic()
        subprocess.run(
            ["psql", "-q", "-v", "ON_ERROR_STOP=1", "-f", script.name, installation.postgres.url("martlet")],
            check=True, capture_output=True)
        return EVENTS / (time.monotonic() - started)


WRK = """
local n = 0
local id = 0
function setup(thread) thread:set("id", id); id = id + 1 end
function request()
  n = n + 1
  return wrk.format("POST", "/v1/track", wrk.headers, string.format(BODY, RUN, id, n))
end
function response(status) if status ~= 200 then bad = (bad or 0) + 1 end end
function done(summary) io.write(string.format("REQUESTS %d %d BAD %d\\n",
  summary.requests, summary.duration, summary.errors.status + summary.errors.read + summary.errors.timeout)) end
"""


def singles(installation):
    """Single events over 64 connections, in events/s; wrk sends them, because Python would be the slower side."""
    body = json.dumps(event(1, "x")).replace("%", "%%").replace("x-00000001", "%s-%d-%d")
    script = WRK.replace("BODY", json.dumps(body)).replace("RUN", json.dumps(uuid.uuid4().hex[:8]))
    headers = [option for name, value in authorisation(installation).items() for option in ("-H", f"{name}: {value}")]
    with tempfile.NamedTemporaryFile("w", suffix=".lua") as file:
        file.write(script)
        file.flush()
        done = subprocess.run(
            ["wrk", "-t1", "-c64", f"-d{SINGLE_SECONDS}s", *headers, "-H", "Content-Type: application/json",
             "-s", file.name, f"http://127.0.0.1:{port(installation)}"],
            check=True, capture_output=True, text=True)
    requests, microseconds, bad = map(int, re.search(r"REQUESTS (\d+) (\d+) BAD (\d+)", done.stdout).groups())
    assert bad == 0, done.stdout
    return requests / (microseconds / 1e6)


def pgbench(installation):
    """64 connections that insert one row each, durably, again and again, in transactions/s."""
    with tempfile.NamedTemporaryFile("w", suffix=".sql") as script:
        body = "x" * 400
        script.write(
            "\\set s random(0, 63)\n"
            f"INSERT INTO bench.single (shard, key, recorded_at, body) VALUES (:s, 'visitor', now(), '{body}');\n")
        script.flush()
        done = subprocess.run(
            [pgbench_path(), "-n", "-c", "64", "-j", "2", "-M", "prepared", "-T", str(SINGLE_SECONDS), "-f",
             script.name, installation.postgres.url("martlet")], check=True, capture_output=True, text=True)
    return float(re.search(r"tps = ([0-9.]+)", done.stdout).group(1))


def pgbench_path():
    return max(Path("/usr/lib/postgresql").glob("*/bin/pgbench"))


def authorisation(installation):
    import base64
    return {"Authorization": "Basic " + base64.b64encode(f"{installation.write_key}:".encode()).decode()}


def port(installation):
    return int(installation.url("ingestion").rsplit(":", 1)[1])


def run_all(threads):
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def resident(installation):
    status = Path(f"/proc/{installation.pid('ingestion')}/status").read_text()
    return int(re.search(r"VmRSS:\s*(\d+)", status).group(1)) / 1024


def at_share(values, share):
    values = sorted(values)
    return values[min(len(values) - 1, int(len(values) * share))]


def alone(installation):
    """Ends the other services: what they read would be measured as well."""
    installation.take_over()
    for service in list(installation.processes):
        if service != "ingestion":
            installation.stop_service(service)
    installation.pid = lambda service: installation.processes[service].pid


def main():
    installation = Installation("bench-ingestion", rehearsal=False, examples=False, environment={
        "MARTLET_INGESTION_SOURCE_ITEMS_PER_SECOND": "10000000", "MARTLET_RATE_LIMIT_PER_SECOND": "1000000",
        "MARTLET_RATE_LIMIT_BURST": "1000000"})
    try:
        installation.start()
        alone(installation)
        installation.sql("CREATE SCHEMA bench; CREATE SEQUENCE bench.offsets CACHE 1000")
        with psycopg.connect(installation.postgres.url("martlet"), autocommit=True) as connection:
            connection.execute("SET search_path = bench")
            connection.execute(TABLES)
        measure(installation)
    finally:
        installation.remove()


def measure(installation):
    if "growth" in sys.argv:
        batches(installation)
        print("throughput after the stored log has doubled: " + doubling(installation))
        return
    ours, theirs, small, single, bench = [], [], [], [], []
    batches(installation)  # warms both sides up
    copied(installation)
    for number in range(REPEATS):
        ours.append(batches(installation))
        theirs.append(copied(installation))
        small.append(copied(installation, 2000))
        single.append(singles(installation))
        bench.append(pgbench(installation))
        print(f"run {number + 1} of {REPEATS}: {ours[-1]:,.0f} against {theirs[-1]:,.0f} events/s by psql in the same "
              f"batches ({small[-1]:,.0f} by 2000); single {single[-1]:,.0f} against {bench[-1]:,.0f} by pgbench",
              file=sys.stderr)
    rate = statistics.median(ours) / 2
    halves = []
    for _ in range(REPEATS):
        latencies = []
        batches(installation, latencies, rate)
        halves.append((at_share(latencies, 0.5), at_share(latencies, 0.99)))
    half = " / ".join(middle(list(side), "{:.0f}") for side in zip(*halves))
    growth = doubling(installation)
    soaked = soak(installation, rate) if "soak" in sys.argv else None
    print(f"""
### Ingestion

{machine()}. Command: `make bench-ingestion`; the median of {len(ours)} runs (least–most), sides interleaved, the other
services stopped.

| | Martlet | this PostgreSQL, nobody between | ratio of medians |
|---|---|---|---|
| batches of {BATCH} events, deduplicated, answered after the commit; psql: `COPY` and `INSERT … ON CONFLICT`, as many a transaction | {middle(ours)} events/s | {middle(theirs)} events/s | {ratio(ours, theirs)} |
| the same; psql with 2,000 a transaction | | {middle(small)} events/s | {ratio(ours, small)} |
| single events over 64 connections; `pgbench`, 64 connections, one durable insert each | {middle(single)} events/s | {middle(bench)} transactions/s | {ratio(single, bench)} |

| | |
|---|---|
| a batch at half of that rate, p50 / p99 | {half} ms |
| throughput after the stored log has doubled | {growth} |
| {SOAK_SECONDS // 60} minutes at half the rate: memory, and how long a batch takes | {soaked or "not measured; `make bench-ingestion-soak`"} |
""")


def ratio(ours, theirs):
    return f"{statistics.median(ours) / statistics.median(theirs):.2f}"


def doubling(installation):
    """The rate with a million stored events, and with two million, psql's own beside each: the disk drifts meanwhile."""
    def fill(target):
        while installation.value("SELECT count(*) FROM ingestion.message_key") < target:
            batches(installation)

    def rates():
        # What has to be cleaned up after filling is done before, on both sides, and not during one measurement of two.
        with psycopg.connect(installation.postgres.url("martlet"), autocommit=True) as connection:
            connection.execute("VACUUM ANALYZE")
            connection.execute("CHECKPOINT")
        pairs = [(batches(installation), copied(installation, 2000)) for _ in range(REPEATS)]
        return [statistics.median(side) for side in zip(*pairs)]

    fill(1_000_000)
    before, ground_before = rates()
    fill(2_000_000)
    after, ground_after = rates()
    return (f"{(after / before - 1) * 100:+.0f} % (1M to 2M events: {before:,.0f} to {after:,.0f} events/s; "
            f"psql beside it, with tables that hardly grew: {(ground_after / ground_before - 1) * 100:+.0f} %)")


def soak(installation, rate):
    """Ten minutes at a rate, with one durable insert ten times a second beside it: what the disk alone makes wait."""
    held, latencies, alone = [], [], []
    over = threading.Event()

    def probe():
        with psycopg.connect(installation.postgres.url("martlet"), autocommit=True) as connection:
            while not over.wait(0.1):
                before = time.monotonic()
                connection.execute("INSERT INTO bench.single (shard, recorded_at) VALUES (0, now())")
                alone.append((time.monotonic() - before) * 1000)

    beside = threading.Thread(target=probe)
    beside.start()
    ended = time.monotonic() + SOAK_SECONDS
    while time.monotonic() < ended:
        bodies = requests_of(uuid.uuid4().hex[:8])
        batches(installation, latencies, rate, bodies)
        held.append(resident(installation))
    over.set()
    beside.join()
    return (f"{held[-1]:.0f} MB ({held[0]:.0f} MB after the first round, at most {max(held):.0f} MB); "
            f"p50 {at_share(latencies, 0.5):.0f}, p99 {at_share(latencies, 0.99):.0f} ms; one durable insert by itself "
            f"beside it: p50 {at_share(alone, 0.5):.1f}, p99 {at_share(alone, 0.99):.0f} ms")


if __name__ == "__main__":
    main()
