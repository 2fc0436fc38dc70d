"""How fast a year of real orders goes through everything: from `martlet import` to every stream drained.

    .martlet/venv/bin/python Tests/Benchmarks/bench_retail.py [FILE]

Prints a table for the README. Run by `make bench`, on a release build.
"""

import json
import sys
import time
from pathlib import Path

from ground import DATA, REPEATS, Installation, ceiling, machine, memory, memory_table, middle
from sealing import Opener

MAPPING = "deploy/examples/mappings/online-retail.yaml"
FILE = Path(sys.argv[1]) if len(sys.argv) > 1 else DATA / "online-retail-2009-2010.csv.gz"


def main():
    if not FILE.exists():
        print(f"bench_retail: skipped, the orders are not at {FILE}")
        return
    report([run(number) for number in range(REPEATS)])


def run(number):
    """One import into a fresh installation, then the same events straight into the same PostgreSQL."""
    # For real, not a rehearsal: its clock costs nothing. The examples are what there is to decide.
    installation = Installation(f"bench-retail-{number}", rehearsal=False)
    try:
        installation.start()
        started = time.monotonic()
        installation.martlet("import", FILE, "--mapping", MAPPING, "--shift-to-now", within=3600)
        imported = time.monotonic() - started
        installation.drain(within=3600)
        drained = time.monotonic() - started
        assert not installation.quarantined()
        count = installation.value
        figures = {
            "imported": imported,
            "drained": drained,
            "events": count("SELECT count(*) FROM profiles.timeline WHERE type = 'track'"),
            "lines": sum(
                len(json.loads(body)["event"]["properties"].get("products", []))
                for _, body, _ in Opener(installation).timeline("t.type = 'track'")),
            "profiles": count("SELECT count(*) FROM profiles.profile WHERE canonical_id = profile_id"),
            "changes": count("SELECT coalesce(sum(next_offset - 1), 0) FROM segmentation.stream_head"),
            "size": count("SELECT pg_size_pretty(pg_database_size('martlet'))"),
            "memory": memory(installation),
            "ceiling": ceiling(installation),
        }
    finally:
        installation.remove()
    print(f"run {number + 1} of {REPEATS}: drained after {drained:.1f} s", file=sys.stderr)
    return figures


def report(runs):
    last = runs[-1]
    events, lines = last["events"], last["lines"]
    rates = [events / run["drained"] for run in runs]
    print(f"""
### The whole Online Retail file, from `martlet import` to every stream drained

{machine()}. Command: `make bench`; the median of {len(runs)} runs (least–most).

| | |
|---|---|
| events ({lines:,} order lines inside) | {events:,} |
| accepted by ingestion, all committed | {middle([run["imported"] for run in runs], "{:.1f}")} s, {middle([events / run["imported"] for run in runs])} events/s |
| every stream drained | {middle([run["drained"] for run in runs], "{:.1f}")} s, {middle(rates)} events/s, {middle([lines / run["drained"] for run in runs])} lines/s |
| the same events straight into this PostgreSQL (the machine's limit) | {middle([run["ceiling"] for run in runs])} events/s |
| share of that limit, through all seven services | {middle([rate / run["ceiling"] * 100 for rate, run in zip(rates, runs)])} % |
| profiles, membership changes | {last["profiles"]:,}, {last["changes"]:,} |
| database afterwards | {last["size"]} |

{memory_table([run["memory"] for run in runs])}
""")


if __name__ == "__main__":
    main()
