"""What the benchmarks stand on: the installations of the end-to-end tests, on a release build."""

import os
import re
import statistics
import subprocess
import sys
import threading
import time
from pathlib import Path

import psycopg

sys.dont_write_bytecode = True
REPOSITORY = Path(__file__).resolve().parents[2]
os.environ.setdefault("MARTLET_BIN_DIRECTORY", str(REPOSITORY / ".build" / "release"))
os.chdir(REPOSITORY)
sys.path.insert(0, str(REPOSITORY / "Tests" / "EndToEnd"))

from installation import DATA, SERVICES, Installation, wait_for  # noqa: E402, F401
from sealing import Opener  # noqa: E402


def machine():
    """The machine in a few words."""
    text = Path("/proc/cpuinfo").read_text()
    model = re.search(r"model name\s*: (.*)", text)
    memory = re.search(r"MemTotal:\s*(\d+)", Path("/proc/meminfo").read_text())
    name = re.sub(r"\s+", " ", model.group(1)).strip() if model else "an unnamed processor"
    build = Path(os.environ["MARTLET_BIN_DIRECTORY"]).name
    return f"{os.cpu_count()} cores ({name}), {int(memory.group(1)) / 2**20:.0f} GB, {build} build"


REPEATS = int(os.environ.get("MARTLET_BENCH_REPEATS", "5"))


BENCH = REPOSITORY / ".martlet" / "bench"


def peer_python(name, packages):
    """The interpreter of a virtual environment that has the packages of PyPI; made when it isn't there."""
    venv = BENCH / name
    wanted = "\n".join(packages)
    stamp = venv / "installed"
    if not stamp.exists() or stamp.read_text() != wanted:
        subprocess.run([sys.executable, "-m", "venv", "--clear", venv], check=True)
        subprocess.run(
            [venv / "bin" / "python", "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *packages],
            check=True)
        stamp.write_text(wanted)
    return venv / "bin" / "python"


def memory(installation):
    """What each service holds now and at most held, in MB, from /proc."""
    held = {}
    for service in SERVICES:
        status = Path(f"/proc/{installation.pid(service)}/status").read_text()
        held[service] = [
            int(re.search(rf"{name}:\s*(\d+)", status).group(1)) / 1024 for name in ("VmRSS", "VmHWM")]
    return held


def memory_table(runs):
    """The largest of several runs."""
    rows = [
        f"| {service} | {max(run[service][0] for run in runs):.0f} MB | {max(run[service][1] for run in runs):.0f} MB |"
        for service in SERVICES]
    return "\n".join(["| service | memory afterwards | at most |", "|---|---|---|", *rows])


def middle(values, form="{:,.0f}"):
    """The median of the runs, with the least and the most."""
    middle = form.format(statistics.median(values))
    return middle if len(values) == 1 else f"{middle} ({form.format(min(values))}–{form.format(max(values))})"


CEILING_TABLES = """
CREATE TABLE log (shard smallint, "offset" bigint, key text, body text, PRIMARY KEY (shard, "offset"));
CREATE TABLE seen (shard smallint, message_id text, PRIMARY KEY (shard, message_id));
CREATE TABLE timeline (shard smallint, "offset" bigint, key text, body text, PRIMARY KEY (shard, "offset"));
CREATE INDEX ON timeline (shard, key);
CREATE TABLE state (shard smallint, key text, count bigint, PRIMARY KEY (shard, key));
"""


def ceiling(installation, batch=500):
    """What this PostgreSQL does with the same events and nobody between, in events/s.

    Deduplication, the raw log, the timeline with its index and one state per person, in durable transactions of
    `batch` events over two connections: the least that any such platform on one PostgreSQL has to do.
    """
    opener = Opener(installation)
    rows = [
        # As they were sent: sealing is ours to pay for.
        (shard, offset, key, opener.text(body, f"ingestion.stream_events {shard} {key} {at}", "ingestion"))
        for shard, offset, key, body, at in installation.sql(
            """SELECT shard, "offset", key, body, (extract(epoch FROM recorded_at) * 1000)::bigint
               FROM ingestion.stream_events ORDER BY 1, 2""")]
    installation.sql("CREATE DATABASE ceiling", url=installation.postgres.url())
    installation.sql(CEILING_TABLES, database="ceiling")
    batches = [rows[first:first + batch] for first in range(0, len(rows), batch)]
    # Whole shards to one side, so that the two never wait for each other's rows.
    sides = [[r for r in batches if r[0][0] % 2 == side] for side in (0, 1)]

    def write(side):
        with psycopg.connect(installation.postgres.url("ceiling")) as connection:
            connection.execute("CREATE TEMP TABLE b (shard smallint, o bigint, key text, body text)")
            connection.commit()
            for rows in side:
                with connection.cursor() as cursor:
                    cursor.execute("TRUNCATE b")
                    with cursor.copy("COPY b FROM STDIN") as copy:
                        for row in rows:
                            copy.write_row(row)
                    cursor.execute("INSERT INTO seen SELECT shard, key || o FROM b ON CONFLICT DO NOTHING")
                    cursor.execute("INSERT INTO log SELECT * FROM b")
                    cursor.execute("INSERT INTO timeline SELECT * FROM b")
                    cursor.execute(
                        """INSERT INTO state SELECT shard, key, count(*) FROM b GROUP BY 1, 2
                           ON CONFLICT (shard, key) DO UPDATE SET count = state.count + excluded.count""")
                connection.commit()

    threads = [threading.Thread(target=write, args=(side,)) for side in sides]
    started = time.monotonic()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return len(rows) / (time.monotonic() - started)


def durable_commits(installation, count=200):
    """How long a commit of one small row takes here, in milliseconds, sorted."""
    installation.sql("CREATE TABLE IF NOT EXISTS public.bench_commit (n int)")
    taken = []
    with psycopg.connect(installation.postgres.url("martlet"), autocommit=True) as connection:
        for number in range(count):
            started = time.monotonic()
            connection.execute("INSERT INTO public.bench_commit VALUES (%s)", (number,))
            taken.append((time.monotonic() - started) * 1000)
    return sorted(taken)
