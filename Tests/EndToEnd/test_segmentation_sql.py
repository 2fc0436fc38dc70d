"""Twelve stated rules have the members that SQL over the same events finds, in DuckDB, which shares nothing with us.

A third of the rules stand before anything happens, a third are changed halfway, and a third come when all is over.
MARTLET_POPULATION (2000 unless set) is how many people there are, each with ten events on average; MARTLET_SEED makes
them up.
"""

import csv
import json
import os
import random
import sys
from datetime import datetime, timedelta, timezone

from installation import REPOSITORY, SEED, wait_for, write_instant
from sealing import Opener

sys.path.append(str(REPOSITORY / "Tests" / "Benchmarks"))

from segmentation_peer import COLUMNS, duckdb_side  # noqa: E402

EXAMPLES = False
RULES = json.loads((REPOSITORY / "Tests" / "Benchmarks" / "segmentation_rules.json").read_text())
PEOPLE = int(os.environ.get("MARTLET_POPULATION", "2000"))
CATEGORIES = ["Shoes", "Shirts", "Coats", "Hats", "Bags", "Belts"]
# Mostly looking, seldom buying.
NAMES = {"Product Viewed": 55, "Product Added": 17, "Checkout Started": 10, "Order Completed": 8, "Email Opened": 10}


def test_twelve_rules_have_the_members_that_sql_finds(martlet, tmp_path):
    print(f"seed {SEED}")
    file = tmp_path / "events.csv"
    events = make_up(random.Random(SEED), martlet.now(), file)
    early, changed, late = RULES[0::3], RULES[1::3], RULES[2::3]
    for rule in early:
        put(martlet, rule["id"], rule["rule"])
    for rule in changed:
        put(martlet, rule["id"], {"count": {"event": "Product Viewed", "atLeast": 5}})
    half = len(events) // 2
    send(martlet, events[:half])
    for rule in changed:
        put(martlet, rule["id"], rule["rule"])
    send(martlet, events[half:])
    for rule in late:
        put(martlet, rule["id"], rule["rule"])
    settle(martlet)

    sql = duckdb_side(file)
    people = {profile: int(user.removeprefix("user-")) for user, profile in Opener(martlet).identifiers("userId")}
    assert len(people) == len({event["userId"] for event in events})
    compare(martlet, sql, people)
    # Time alone goes on, and each leaves and enters at its instant.
    martlet.advance("12h")
    compare(martlet, sql, people)
    compare_percentiles(martlet, sql, people)


# Who spent something, with their place among all of them.
SPENT = """
    SELECT profile, sum(total) AS spent, row_number() OVER (ORDER BY sum(total)) AS place, count(*) OVER () AS people
    FROM events WHERE name = 'Order Completed' AND happened > {now} - 2592000000 GROUP BY profile
"""


def compare_percentiles(martlet, sql, people):
    """An edition has the thresholds that SQL finds at its instant, and until the next one its rules go on by these."""
    put(martlet, "top", "percentile spend at least 90")
    put(martlet, "middle", "percentile spend between 30 and 59")
    made = martlet.call("POST", "segmentation", "/v1/percentile-models", expect=202, json={
        "model": "spend", "measure": {"sum": {"event": "Order Completed", "property": "total", "within": "30d"}}})
    path = f"/v1/percentile-models/{made['modelId']}"
    wait_for(lambda: martlet.get("segmentation", path)["status"] == "done", "the edition", within=120)
    edition = martlet.get("segmentation", path)["edition"]
    settle(martlet)
    at = milliseconds(datetime.fromisoformat(edition["at"]))
    thresholds = [sql.execute(
        f"SELECT spent FROM ({SPENT.format(now=at)}) WHERE place = (people * {percent} + 99) // 100").fetchone()[0]
        for percent in range(1, 100)]
    assert [float(threshold) for threshold in edition["thresholds"]] == [float(each) for each in thresholds]
    for _ in range(2):
        now = milliseconds(martlet.now())
        for segment, low, high in [("top", 90, None), ("middle", 30, 60)]:
            bound = f"AND spent <= {thresholds[high - 1]}" if high else ""
            wanted = sorted(row[0] for row in sql.execute(
                f"SELECT profile FROM ({SPENT.format(now=now)}) WHERE spent > {thresholds[low - 1]} {bound}").fetchall())
            found = sorted(people[str(profile)] for profile, in martlet.sql(
                "SELECT profile_id FROM profiles.membership WHERE segment = %s", segment))
            print(f"{segment}: {len(found)}")
            assert found == wanted, (segment, sorted(set(found) ^ set(wanted))[:10])
            assert 0 < len(found) < len(people)
        martlet.advance("12h")


def make_up(chance, now, file):
    """Events of 90 days, few people busy and most not, in no order; and the same as a file."""
    events, rows = [], []
    now = now.replace(microsecond=now.microsecond // 1000 * 1000)
    for number in range(PEOPLE * 10):
        user = min(chance.randrange(PEOPLE), chance.randrange(PEOPLE))
        name = chance.choices(list(NAMES), weights=NAMES.values())[0]
        # More of late, or nobody would have looked at four products within two days.
        ago = int(90 * 86_400_000 * chance.random() ** 3)
        properties = {}
        if name.startswith("Product"):
            properties = {"sku": f"sku-{chance.randrange(200)}", "category": chance.choice(CATEGORIES)}
        elif name == "Order Completed":
            properties = {"order_id": f"o{number}", "total": chance.randrange(5, 200)}
        events.append({
            "type": "track", "messageId": f"sql-{number}", "userId": f"user-{user}", "event": name,
            "timestamp": write_instant(now - timedelta(milliseconds=ago)), "properties": properties})
        rows.append(dict(properties, profile=user, happened=milliseconds(now) - ago, name=name))
    with open(file, "w", newline="") as out:
        writer = csv.DictWriter(out, COLUMNS, extrasaction="ignore")
        writer.writeheader()
        writer.writerows(rows)
    return events


def milliseconds(instant):
    return (instant - datetime(1970, 1, 1, tzinfo=timezone.utc)) // timedelta(milliseconds=1)


def put(martlet, name, rule):
    martlet.call("PUT", "segmentation", f"/v1/segments/{name}", json={"rule": rule}, expect=(200, 201))


def send(martlet, events):
    for start in range(0, len(events), 1000):
        martlet.collect("batch", {"batch": events[start:start + 1000]})


def settle(martlet):
    """Waits until everything is decided by the rules that were written last."""
    martlet.drain()
    wait_for(
        lambda: all(segment["status"] == "live" for segment in martlet.items("segmentation", "/v1/segments")),
        "all segments to be live", within=120, every=0.1)


def compare(martlet, sql, people):
    now = milliseconds(martlet.now())
    for rule in RULES:
        wanted = sorted(row[0] for row in sql.execute(rule["sql"].replace("$now", str(now))).fetchall())
        found = sorted(people[str(profile)] for profile, in martlet.sql(
            "SELECT profile_id FROM profiles.membership WHERE segment = %s", rule["id"]))
        print(f"{rule['id']}: {len(found)}")
        assert found == wanted, (rule["id"], sorted(set(found) ^ set(wanted))[:10])
        assert 0 < len(found) < len(people), f"{rule['id']} tells nobody from anybody"
