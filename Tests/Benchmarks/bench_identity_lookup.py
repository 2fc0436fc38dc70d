"""How fast a profile is found by an identifier over HTTP, beside the same query in pgbench.

    .martlet/venv/bin/python Tests/Benchmarks/bench_identity_lookup.py

Both over 64 connections, in turns, MARTLET_BENCH_REPEATS (5) times, in an installation with 100,000 profiles or more
(MARTLET_BENCH_PROFILES). The figures are medians of the runs. Prints a table for the README. On a release build.
"""

import json
import os
import re
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

import requests

from ground import REPEATS, Installation, machine, middle

PROFILES = int(os.environ.get("MARTLET_BENCH_PROFILES", "100000"))
CONNECTIONS = 64
SECONDS = 10
BATCH = 1_000

# What identity asks the database for one profile: who it is with everyone merged into it, identifiers, and traits. The
# hash is read from a list, because pgbench cannot compute it.
QUERY = """\\set n random(1, COUNT)
WITH member AS MATERIALIZED (
    SELECT m.shard, m.profile_id, m.canonical_id, m.created_at, m.updated_at, m.erased_at
    FROM profiles.profile m WHERE m.canonical_id = (
        SELECT o.canonical_id
        FROM bench.wanted w
        JOIN profiles.identifier i ON i.shard = w.shard AND i.type = w.type AND i.value_hash = w.value_hash
        JOIN profiles.profile o ON o.profile_id = i.profile_id
        WHERE w.n = :n)
)
SELECT 'profile' AS part, profile_id, canonical_id, NULL AS name, NULL AS value, created_at AS first_at,
       updated_at AS last_at, erased_at, NULL AS message_id, NULL::uuid AS source_id, NULL::bytea AS value_hash,
       NULL AS kek_id, NULL::bytea AS wrapped, NULL::boolean AS is_settled
FROM member
UNION ALL
SELECT 'identifier', i.profile_id, NULL, i.type, i.value, i.first_seen, i.last_seen, NULL, NULL, NULL, i.value_hash,
       NULL, NULL, NULL
FROM member m JOIN profiles.identifier i ON i.profile_id = m.profile_id
UNION ALL
SELECT 'trait', t.profile_id, NULL, t.name, t.value::text, t.occurred_at, NULL, NULL, t.message_id, t.source_id, NULL,
       NULL, NULL, NULL
FROM member m JOIN profiles.trait t ON t.shard = m.shard AND t.profile_id = m.profile_id
UNION ALL
SELECT 'key', k.profile_id, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, k.kek_id, k.wrapped,
       k.created_at < now()
FROM member m JOIN profiles.data_key k ON k.shard = m.shard AND k.profile_id = m.profile_id;
"""

# Everybody by the address, at random; 200 is the only answer that counts.
WRK = """
local id = 0
function setup(thread) thread:set("id", id); id = id + 1 end
function init() math.randomseed(7 + id) end
function request()
  local n = math.random(0, COUNT - 1)
  return wrk.format("POST", "/v1/profiles/lookup", wrk.headers,
    string.format('{"type":"email","value":"person-%d@example.com"}', n))
end
function done(summary, latency)
  io.write(string.format("REQUESTS %d %d BAD %d P50 %d P99 %d\\n", summary.requests, summary.duration,
    summary.errors.status + summary.errors.read + summary.errors.timeout + summary.errors.connect,
    latency:percentile(50), latency:percentile(99)))
end
"""


def person(number):
    return {
        "identifiers": [
            {"type": "userId", "value": f"user-{number}"}, {"type": "email", "value": f"person-{number}@example.com"},
            {"type": "anonymousId", "value": f"browser-{number}"}],
        "traits": {"firstName": f"Anna{number % 997}", "lastName": f"Meier{number % 9973}", "plan": "pro", "city": "Bern",
                   "orders": number % 40},
    }


def load(installation, count=PROFILES):
    """Makes the profiles as any caller would, a thousand at a time."""
    url = installation.url("identity") + "/v1/profiles/batch"
    headers = {"Authorization": f"Bearer {installation.admin_key}", "Content-Type": "application/json"}

    def send(offset):
        session = requests.Session()
        session.trust_env = False
        for first in range(offset * BATCH, count, 2 * BATCH):
            items = [person(number) for number in range(first, min(count, first + BATCH))]
            answer = session.post(url, data=json.dumps({"items": items}), headers=headers, timeout=120)
            assert answer.status_code == 200 and answer.json()["refused"] == 0, answer.text[:500]

    threads = [threading.Thread(target=send, args=(offset,)) for offset in (0, 1)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    installation.sql("CREATE SCHEMA bench")
    installation.sql(
        """CREATE TABLE bench.wanted AS SELECT row_number() OVER () AS n, shard, type, value_hash
           FROM profiles.identifier WHERE type = 'email'""")
    installation.sql("ALTER TABLE bench.wanted ADD PRIMARY KEY (n)")
    assert installation.sql("SELECT count(*) FROM bench.wanted")[0][0] == count
    installation.sql("VACUUM ANALYZE")


def over_http(installation, count=PROFILES):
    """Look-ups of wrk: how many a second, and the median and the 99th percentile in milliseconds."""
    with tempfile.NamedTemporaryFile("w", suffix=".lua") as script:
        script.write(WRK.replace("COUNT", str(count)))
        script.flush()
        done = subprocess.run(
            ["wrk", "-t1", f"-c{CONNECTIONS}", f"-d{SECONDS}s", "--latency", "-H", "Content-Type: application/json",
             "-H", f"Authorization: Bearer {installation.admin_key}", "-s", script.name, installation.url("identity")],
            check=True, capture_output=True, text=True)
    numbers = re.search(r"REQUESTS (\d+) (\d+) BAD (\d+) P50 (\d+) P99 (\d+)", done.stdout)
    served, microseconds, bad, p50, p99 = map(int, numbers.groups())
    assert bad == 0, done.stdout
    return served / (microseconds / 1e6), p50 / 1e3, p99 / 1e3


def in_pgbench(installation, count=PROFILES):
    """The same of pgbench."""
    with tempfile.TemporaryDirectory() as directory:
        script = Path(directory) / "lookup.sql"
        script.write_text(QUERY.replace("COUNT", str(count)))
        pgbench = max(Path("/usr/lib/postgresql").glob("*/bin/pgbench"))
        done = subprocess.run(
            [pgbench, "-n", "-c", str(CONNECTIONS), "-j", "1", "-M", "prepared", "-T", str(SECONDS), "-l", "-f", script,
             installation.postgres.url("martlet")], check=True, capture_output=True, text=True, cwd=directory)
        taken = sorted(
            int(line.split()[2]) for log in Path(directory).glob("pgbench_log.*") for line in log.read_text().splitlines())
    assert taken, done.stdout + done.stderr
    tps = float(re.search(r"tps = ([0-9.]+)", done.stdout).group(1))
    return tps, taken[len(taken) // 2] / 1e3, taken[int(len(taken) * 0.99)] / 1e3


def measure(installation, count=PROFILES):
    """Both in turns, and the table: bar 5 of identity's figures."""
    load(installation, count)
    over_http(installation, count)
    http, database = [], []
    for _ in range(REPEATS):
        database.append(in_pgbench(installation, count))
        http.append(over_http(installation, count))
    ratios = [ours[2] / theirs[2] for ours, theirs in zip(http, database)]
    rows = [
        "| look-up by an address, 64 connections | a second | median | p99 |", "|---|---|---|---|",
        f"| `POST /v1/profiles/lookup` | {middle([r[0] for r in http])} | {middle([r[1] for r in http], '{:.1f}')} ms "
        f"| {middle([r[2] for r in http], '{:.1f}')} ms |",
        f"| the same query in pgbench | {middle([r[0] for r in database])} "
        f"| {middle([r[1] for r in database], '{:.1f}')} ms | {middle([r[2] for r in database], '{:.1f}')} ms |",
    ]
    print(f"\nAmong {count:,} profiles.\n\n" + "\n".join(rows))
    print(f"\np99 over HTTP is {middle(ratios, '{:.2f}')} times that of pgbench (at most 3)")
    return {"p99Ratio": sorted(ratios)[len(ratios) // 2]}


def main():
    print(machine(), file=sys.stderr)
    installation = Installation("bench-identity-lookup", rehearsal=False, examples=False).start()
    try:
        measure(installation)
    finally:
        installation.down()
        installation.postgres.remove()


if __name__ == "__main__":
    main()
