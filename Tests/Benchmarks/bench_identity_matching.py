"""Matching of records beside Splink (DuckDB): wall time and F1 on the same files, in the same run.

    .martlet/venv/bin/python Tests/Benchmarks/bench_identity_matching.py [RECORDS…]

Files of 200,000 and 1,000,000 made-up people (people.py), Febrl 3 and Splink's fake-1000 where ../shared/data has them.
Sides are interleaved, MARTLET_BENCH_REPEATS (5) times. Splink lives in a virtual environment of its own under
.martlet/bench, and is given the best of several thresholds for each file; Martlet has the settings of the repository.
Prints tables for the README. Part of `make bench-identity`, on a release build.
"""

import csv
import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import people
from ground import BENCH, DATA, REPEATS, REPOSITORY, machine, middle, peer_python

PEERS = ["splink==5.0.0", "duckdb>=1.1", "pandas>=2.2"]
PEOPLE = ("given_name=givenName,surname=surname,date_of_birth=dateOfBirth,street_number=streetNumber,street=address,"
          "city=city,postcode=postcode,phone=phone,email=email")
FEBRL = ("given_name=givenName,surname=surname,street_number=streetNumber,address_1=address,suburb=city,"
         "postcode=postcode,state=state,date_of_birth=dateOfBirth,soc_sec_id=nationalId")
# Splink's settings have one line of address; Martlet takes both.
FEBRL_OURS = FEBRL.replace("suburb=", "address_2=address,suburb=")
FAKE = "first_name=givenName,surname=surname,dob=dateOfBirth,city=city,email=email"
LOOK_UPS = 2000


def made_up(records):
    """A file of so many records."""
    path = BENCH / f"people-{records}.csv"
    if not path.exists():
        BENCH.mkdir(parents=True, exist_ok=True)
        people.write(path, records)
    return path


def truth_of(path, column):
    with open(path, newline="") as file:
        rows = csv.reader(file, skipinitialspace=True)
        header = [name.strip() for name in next(rows)]
        place = header.index(column)
        values = [row[place] for row in rows]
    return [value.split("-")[1] for value in values] if column == "rec_id" else values


def pairs_in(counts):
    return sum(count * (count - 1) // 2 for count in counts.values())


def f1(right, found, truth):
    return {"precision": right / max(1, found), "recall": right / max(1, truth), "f1": 2 * right / max(1, found + truth)}


def ours(path, columns, truth, look_ups=0):
    """One run of `martlet match`: seconds, F1 of pairs and clusters, and what it said."""
    command = Path(os.environ["MARTLET_BIN_DIRECTORY"]) / "martlet"
    with tempfile.TemporaryDirectory() as directory:
        pairs, clusters = Path(directory) / "pairs.csv", Path(directory) / "clusters.csv"
        arguments = [command, "match", path, "--columns", columns, "--pairs", pairs, "--clusters", clusters]
        started = time.monotonic()
        done = subprocess.run([*arguments, "--look-ups", str(look_ups)], check=True, capture_output=True, text=True)
        result = {"seconds": time.monotonic() - started, "said": done.stdout, "steps": done.stderr}
        with open(pairs, newline="") as file:
            rows = csv.reader(file)
            next(rows)
            same = [truth[int(row[0])] == truth[int(row[1])] for row in rows]
        with open(clusters, newline="") as file:
            rows = csv.reader(file)
            next(rows)
            groups = [row[1] for row in rows]
    all_pairs = pairs_in(Counter(truth))
    result["pairs"] = f1(sum(same), len(same), all_pairs)
    result["clusters"] = f1(
        pairs_in(Counter(zip(groups, truth))), pairs_in(Counter(groups)), all_pairs)
    found = re.search(r"median ([\d.]+) ms, p99 ([\d.]+) ms", done.stdout)
    if found:
        result["lookUp"] = {"median": float(found.group(1)), "p99": float(found.group(2))}
    return result


def splink(path, column, columns, look_ups=0):
    """One run of Splink."""
    done = subprocess.run(
        [peer_python("peers", PEERS), REPOSITORY / "Tests" / "Benchmarks" / "splink_peer.py", path, column, columns,
         "--look-ups", str(look_ups)], check=True, capture_output=True, text=True)
    return json.loads(done.stdout.splitlines()[-1])


def side(runs):
    """Time and quality of the runs of one side, as cells of a table."""
    last = runs[-1]
    return (f"{middle([run['seconds'] for run in runs], '{:.2f}')} s | {last['pairs']['f1']:.4f} | "
            f"{last['clusters']['f1']:.4f}")


def compare(name, path, column, columns, ours_columns=None, repeats=REPEATS):
    """Both sides on one file, interleaved; a line of the table."""
    truth = truth_of(path, column)
    mine, theirs = [], []
    for _ in range(repeats):
        mine.append(ours(path, ours_columns or columns, truth))
        theirs.append(splink(path, column, columns))
    ratio = statistics.median(run["seconds"] for run in theirs) / statistics.median(run["seconds"] for run in mine)
    print(f"| {name} | {side(mine)} | {side(theirs)} | {ratio:.1f}× |", flush=True)
    return mine, theirs


def accuracy():
    """Data sets that others published."""
    if (DATA / "febrl3.csv").exists():
        compare("Febrl 3, 5,000", DATA / "febrl3.csv", "rec_id", FEBRL, FEBRL_OURS)
        compare("fake-1000", DATA / "fake-1000.csv", "cluster", FAKE)
    else:
        print(f"| {DATA} is not there | | | | | | | |")


def doubling(most):
    """What twice the records cost."""
    sizes = [most // 4, most // 2, most]
    runs = {size: [] for size in sizes}
    for _ in range(min(3, REPEATS)):
        for size in sizes:
            path = made_up(size)
            runs[size].append(ours(path, PEOPLE, truth_of(path, "person"))["seconds"])
    medians = [statistics.median(runs[size]) for size in sizes]
    for size, seconds, before in zip(sizes, medians, [None, *medians]):
        note = "" if before is None else f", {seconds / before:.2f}× of half as many"
        print(f"{size:,} records: {seconds:.2f} s{note}")


def look_ups(records):
    """One record against all."""
    path = made_up(records)
    mine = ours(path, PEOPLE, truth_of(path, "person"), LOOK_UPS)["lookUp"]
    theirs = statistics.median(splink(path, "person", PEOPLE, look_ups=10)["lookUps"]) * 1000
    print(f"One record against {records:,}: median {mine['median']:.2f} ms, p99 {mine['p99']:.2f} ms; Splink "
          f"{theirs:,.0f} ms ({theirs / mine['median']:,.0f}×)")


def main(sizes=(200_000, 1_000_000)):
    print(f"Matching records, {machine()}, beside {PEERS[0]} at its best threshold of several\n")
    print("| records | Martlet | F1 pairs | F1 clusters | Splink | F1 pairs | F1 clusters | faster |")
    print("|---|---|---|---|---|---|---|---|")
    accuracy()
    for size in sizes:
        # A million is not repeated as often: Splink takes minutes.
        compare(f"{size:,} made up", made_up(size), "person", PEOPLE, repeats=REPEATS if size <= 200_000 else 1)
    print()
    doubling(max(sizes))
    look_ups(min(sizes))


if __name__ == "__main__":
    main([int(each) for each in sys.argv[1:]] or (200_000, 1_000_000))
