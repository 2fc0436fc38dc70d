"""How fast a year of real orders goes through everything: from `martlet import` to every stream drained.

    .martlet/venv/bin/python Tests/Benchmarks/bench_retail.py [FILE]

Prints a table for the README. Run by `make bench`, on a release build.
"""

import sys
import time
from pathlib import Path

from ground import DATA, Installation, machine, memory_table

MAPPING = "deploy/examples/mappings/online-retail.yaml"
FILE = Path(sys.argv[1]) if len(sys.argv) > 1 else DATA / "online-retail-2009-2010.csv.gz"


def main():
    if not FILE.exists():
        print(f"bench_retail: skipped, the orders are not at {FILE}")
        return
    # For real, not a rehearsal: its clock costs nothing. The examples are what there is to decide.
    installation = Installation("bench-retail", rehearsal=False)
    try:
        installation.start()
        started = time.monotonic()
        said = installation.martlet(
            "import", FILE, "--mapping", MAPPING, "--shift-to-now", within=3600)
        imported = time.monotonic() - started
        installation.drain(within=3600)
        drained = time.monotonic() - started
        report(installation, said, imported, drained)
    finally:
        installation.remove()


def report(installation, said, imported, drained):
    count = installation.value
    events = count("SELECT count(*) FROM profiles.timeline WHERE type = 'track'")
    lines = count(
        """SELECT coalesce(sum(jsonb_array_length(body::jsonb->'event'->'properties'->'products')), 0)
           FROM profiles.timeline WHERE type = 'track'""")
    profiles = count("SELECT count(*) FROM profiles.profile WHERE canonical_id = profile_id")
    changes = count("SELECT coalesce(sum(next_offset - 1), 0) FROM segmentation.stream_head")
    size = count("SELECT pg_size_pretty(pg_database_size('martlet'))")
    assert not installation.quarantined()
    print(f"""
### The whole Online Retail file, from `martlet import` to every stream drained

{machine()}. Command: `make bench`.

| | |
|---|---|
| events ({lines:,} order lines inside) | {events:,} |
| accepted by ingestion, all committed | {imported:.1f} s, {events / imported:,.0f} events/s |
| every stream drained | {drained:.1f} s, {events / drained:,.0f} events/s, {lines / drained:,.0f} lines/s |
| profiles, membership changes | {profiles:,}, {changes:,} |
| database afterwards | {size} |

{memory_table(installation)}
""")
    print("\n".join(f"> {line}" for line in said.strip().splitlines()[-12:]), file=sys.stderr)


if __name__ == "__main__":
    main()
