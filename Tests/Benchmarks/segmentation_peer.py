"""DuckDB or chDB on the file of events of bench_segmentation.py, in a virtual environment of its own.

    PYTHON segmentation_peer.py duckdb|fused|chdb FILE.csv RULES.json OUT.json REPEATS

Loads the file first and says `ready`; then, for each line on its input, runs all rules and prints the seconds that it
took, from the queries' text to lists of members. `fused` is one query by hand for all rules.
"""

import json
import sys
import time

NOW = 1_782_864_000_000
COLUMNS = {"profile": "INTEGER", "happened": "BIGINT", "name": "VARCHAR", "category": "VARCHAR", "sku": "VARCHAR",
           "total": "INTEGER"}


def text(sql):
    """A rule's SQL at the instant for which it is asked."""
    return sql.replace("$now", str(NOW))


def duckdb_side(path, threads=2):
    """DuckDB with the events in a table in memory."""
    import duckdb
    connection = duckdb.connect(config={"threads": threads})
    connection.execute("CREATE TABLE events AS SELECT * FROM read_csv(?, columns = ?, header = true, nullstr = '')",
                       [str(path), COLUMNS])
    return connection


def twelve(connection, rules):
    """A query for each rule."""
    return {rule["id"]: connection.execute(text(rule["sql"])).fetchnumpy()["profile"] for rule in rules}


def fused(connection, rules):
    """All rules in one query, one pass over the events."""
    flags = ", ".join(f"({text(rule['flag'])}) AS flag{number}" for number, rule in enumerate(rules))
    found = connection.execute(f"SELECT profile, {flags} FROM events GROUP BY profile").fetchnumpy()
    return {rule["id"]: found["profile"][found[f"flag{number}"]] for number, rule in enumerate(rules)}


def chdb_side(path):
    """chDB with the events in a table in memory."""
    from chdb.session import Session
    session = Session()
    session.query("CREATE DATABASE IF NOT EXISTS bench ENGINE = Atomic")
    session.query(
        "CREATE TABLE bench.events (profile Int32, happened Int64, name String, category Nullable(String), "
        "sku Nullable(String), total Nullable(Int32)) ENGINE = Memory")
    session.query(f"INSERT INTO bench.events SELECT * FROM file('{path}', 'CSVWithNames')")
    return session


def chdb_twelve(session, rules):
    """A query for each rule."""
    import numpy
    found = {}
    for rule in rules:
        sql = text(rule["sql"]).replace("FROM events", "FROM bench.events")
        answer = session.query(f"{sql} SETTINGS max_threads = 2", "RowBinary")
        found[rule["id"]] = numpy.frombuffer(answer.bytes(), dtype="<i4")
    return found


def main(side, path, rules, out, repeats):
    """Load, then one run for each line on the input."""
    rules = json.loads(open(rules).read())
    if side == "chdb":
        ground, run = chdb_side(path), chdb_twelve
    else:
        ground, run = duckdb_side(path), fused if side == "fused" else twelve
    print("ready", flush=True)
    for number in range(int(repeats)):
        if not sys.stdin.readline():
            return
        started = time.perf_counter()
        found = run(ground, rules)
        taken = time.perf_counter() - started
        if number == 0:
            with open(out, "w") as file:
                json.dump({name: sorted(int(each) for each in members) for name, members in found.items()}, file)
        print(taken, flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
