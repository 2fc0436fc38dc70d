"""Segmentation's engine beside DuckDB and chDB: twelve rules over a population, one event against live segments, memory.

    .martlet/venv/bin/python Tests/Benchmarks/bench_segmentation.py [EVENTS PROFILES]

2,000,000 events of 200,000 profiles, made up from a seed; the same file is loaded by all sides before the clock starts.
Each side stays up and is asked in turns, MARTLET_BENCH_REPEATS (5) times; the ratio is that of the medians. The peers
live in a virtual environment of their own under .martlet/bench. Part of `make bench-segmentation`, on a release build.
"""

import json
import os
import statistics
import subprocess
import sys
from pathlib import Path

from ground import BENCH, REPEATS, REPOSITORY, machine, middle, peer_python

PEERS = ["duckdb>=1.1", "chdb>=2.0", "numpy", "pyarrow"]
HERE = REPOSITORY / "Tests" / "Benchmarks"
RULES = HERE / "segmentation_rules.json"
PROFILES_IN_MEMORY = int(os.environ.get("MARTLET_BENCH_PROFILES", "1000000"))


def engine(*arguments):
    """The command of the engine's own side."""
    return [str(Path(os.environ["MARTLET_BIN_DIRECTORY"]) / "SegmentationBenchmark"), *map(str, arguments)]


class Side:
    """One side, loaded and waiting to be asked."""

    def __init__(self, name, command):
        self.name, self.seconds = name, []
        self.out = BENCH / f"segmentation-{name.replace(' ', '-')}.json"
        command = [str(part).replace("OUT", str(self.out)) for part in command]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.read("ready")

    def read(self, wanted=None):
        """A line of its output."""
        line = self.process.stdout.readline().strip()
        if not line or (wanted and line != wanted):
            raise SystemExit(f"bench: {self.name} answered {line!r} and ended with {self.process.wait()}")
        return line

    def run(self):
        """One run."""
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        self.seconds.append(float(self.read()))

    def end(self):
        """Its lists of members."""
        self.process.stdin.close()
        self.process.wait()
        return json.loads(self.out.read_text())


def population(events, profiles):
    """Twelve rules over the population; a table."""
    BENCH.mkdir(parents=True, exist_ok=True)
    path = BENCH / f"segmentation-{events}-{profiles}.csv"
    if not path.exists():
        subprocess.run(engine("generate", path, events, profiles), check=True)
    peer, runs = peer_python("segmentation-peers", PEERS), REPEATS + 1
    sides = [Side("Martlet", engine("population", path, RULES, "OUT", runs)),
             Side("event by event", engine("fold", path, RULES, "OUT", runs))] + [
        Side(name, [peer, HERE / "segmentation_peer.py", name, path, RULES, "OUT", runs])
        for name in ("duckdb", "fused", "chdb")]
    for _ in range(runs):
        for side in sides:
            side.run()
    lists = [side.end() for side in sides]
    ours = statistics.median(sides[0].seconds[1:])
    print(f"| twelve rules, {events:,} events, {profiles:,} profiles | seconds | Martlet is | same lists |")
    print("|---|---|---|---|")
    for side, found in zip(sides, lists):
        ratio = statistics.median(side.seconds[1:]) / ours
        same = "yes" if found == lists[0] else "NO"
        # The first run of each warms up and doesn't count.
        print(f"| {side.name} | {middle(side.seconds[1:], '{:.3f}')} | {ratio:.2f}× as fast | {same} |", flush=True)
    if any(found != lists[0] for found in lists):
        raise SystemExit("bench: the lists of members differ")


def live():
    """One event against live segments, beside parsing it."""
    print("\n| live segments | parsing the event | deciding | deciding ÷ parsing | segments it may touch |")
    print("|---|---|---|---|---|")
    for segments in (200, 1000):
        runs = [json.loads(subprocess.run(engine("live", segments, 200_000, 5_000), check=True, capture_output=True,
                                          text=True).stdout) for _ in range(REPEATS)]
        parse, decide = [run["parse"] for run in runs], [run["decide"] for run in runs]
        print(f"| {segments} | {middle(parse)} ns | {middle(decide)} ns | "
              f"{statistics.median(decide) / statistics.median(parse):.2f} | {runs[0]['touched']:.1f} |", flush=True)


def memory():
    """What states take."""
    found = json.loads(subprocess.run(engine("memory", PROFILES_IN_MEMORY, 10), check=True, capture_output=True,
                                      text=True).stdout)
    print(f"\nStates of {found['profiles']:,} profiles, 20 segments, 10 events each: {found['inMemory']:,.0f} bytes "
          f"each in memory as they are kept, {found['stored']:,.0f} bytes as they are stored before sealing")


def main(events=2_000_000, profiles=200_000):
    """All tables."""
    print(f"Segmentation's engine, {machine()}\n")
    population(events, profiles)
    live()
    memory()


if __name__ == "__main__":
    main(*[int(each) for each in sys.argv[1:]])
