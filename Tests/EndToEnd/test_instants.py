"""What time alone changes is told at its instant, on real processes and by the real clock: every entry and exit that
nothing but time causes carries the exact boundary, and whoever reads the stream has it within a second of that.

MARTLET_SEED makes up who does what when.
"""

import json
import random
import time
from datetime import datetime, timedelta, timezone

from installation import SEED, parse_instant, wait_for, write_instant
from sealing import Opener

REHEARSAL = False
EXAMPLES = False
PEOPLE = 60
SHARDS = 64
# How late whoever reads the stream may hear of a change.
LATEST = timedelta(seconds=1)
RULES = {
    "lately": {"count": {"event": "Ping", "within": "8s"}},
    "twice": {"count": {"event": "Ping", "atLeast": 2, "within": "7s"}},
    "left": {"unanswered": {"event": "Ping", "by": {"event": "Pong"}, "for": "6s"}},
    "quiet": {"all": [{"count": {"event": "Ping"}}, {"not": {"count": {"event": "Ping", "within": "10s"}}}]},
    # Ten points that halve every five seconds are four after 6.61 s.
    "keen": {"score": {"id": "interest", "atLeast": 4}},
}
SCORE = {"events": [{"event": "Ping", "weight": 10}], "halfLife": "5s"}


def test_what_time_changes_is_heard_within_a_second_of_its_exact_instant(martlet):
    print(f"seed {SEED}")
    martlet.call("PUT", "segmentation", "/v1/scores/interest", json=SCORE, expect=201)
    for name, rule in RULES.items():
        martlet.call("PUT", "segmentation", f"/v1/segments/{name}", json={"rule": rule}, expect=201)
    definitions = ["/v1/segments", "/v1/scores"]
    wait_for(
        lambda: all(item["status"] == "live" for path in definitions for item in martlet.items("segmentation", path)),
        "all definitions to be live")
    reader = Reader(martlet)
    expected = {}
    chance = random.Random(SEED)
    for number in range(PEOPLE):
        expected |= act(martlet, chance, f"user-{number}", number)
        # Where it is read meanwhile, nothing is heard later for having been sent before.
        reader.read(wait=0)
    last = max(at for changes in expected.values() for _, at in changes)
    while datetime.now(timezone.utc) < last + 2 * LATEST:
        reader.read(wait=1)

    people = {profile: user for user, profile in Opener(martlet).identifiers("userId")}
    found = {}
    for change, _ in reader.by_time():
        key = (people[change["profileId"]], change["segment"])
        found.setdefault(key, []).append((change["change"], parse_instant(change["at"])))
        assert change["evidence"]["boundary"] == change["at"], change
    assert found == {key: changes for key, changes in expected.items() if changes}
    late = sorted(heard - parse_instant(change["at"]) for change, heard in reader.by_time())
    print(f"{len(late)} changes, heard after {late[len(late) // 2]} in the middle and {late[-1]} at the latest")
    assert len(late) > 3 * PEOPLE
    assert timedelta(0) <= late[0] and late[-1] < LATEST, late[-5:]
    assert martlet.quarantined() == []


def act(martlet, chance, user, number):
    """Lets somebody do something just now, and returns what time alone has to change for that, by segment."""
    now = datetime.now(timezone.utc)
    now = now.replace(microsecond=now.microsecond // 1000 * 1000)
    first = now - timedelta(milliseconds=chance.randrange(600, 1200))
    pings = [first]
    if number % 2:
        pings.append(now - timedelta(milliseconds=chance.randrange(0, 500)))
    pongs = [now] if number % 3 == 0 else []
    events = [("Ping", at) for at in pings] + [("Pong", at) for at in pongs]
    martlet.collect("batch", {"batch": [
        {"type": "track", "messageId": f"{user}-{place}", "userId": user, "event": name, "timestamp": write_instant(at)}
        for place, (name, at) in enumerate(events)]})
    seconds = {name: timedelta(seconds=count) for name, count in {"lately": 8, "quiet": 10, "left": 6, "twice": 7}.items()}
    return {
        (user, "lately"): [("exited", pings[-1] + seconds["lately"])],
        (user, "quiet"): [("entered", pings[-1] + seconds["quiet"])],
        (user, "twice"): [("exited", first + seconds["twice"])] if len(pings) == 2 else [],
        (user, "left"): [] if pongs else [("entered", first + seconds["left"])],
        (user, "keen"): [("exited", fades(pings))],
    }


def fades(pings):
    """The first whole millisecond at which what is left of ten points each, halved every five seconds, is below four."""
    last = pings[-1]

    def points(after):
        return sum(10 * 2 ** -(((last - ping) / timedelta(milliseconds=1) + after) / 5000) for ping in pings)

    low, high = 0, 60_000
    while low < high:
        middle = (low + high) // 2
        low, high = (middle + 1, high) if points(middle) >= 4 else (low, middle)
    return last + timedelta(milliseconds=low)


class Reader:
    """Follows the stream by long polls, and notes when each change was heard of."""

    def __init__(self, martlet):
        self.martlet = martlet
        self.positions = dict.fromkeys(range(SHARDS), 0)
        self.heard = []

    def read(self, wait):
        after = ",".join(f"{shard}:{offset}" for shard, offset in self.positions.items())
        response = self.martlet.call(
            "GET", "segmentation", "/v1/streams/memberships", params={"after": after, "limit": 10_000, "wait": wait})
        assert response.status_code == 200, response.text
        now = datetime.fromtimestamp(time.time(), timezone.utc)
        for line in response.text.splitlines():
            record = json.loads(line)
            self.positions[record["shard"]] = max(self.positions[record["shard"]], record["offset"])
            self.heard.append((record["body"], now))

    def by_time(self):
        """The changes of memberships that nothing but time has caused, with when each was heard of."""
        return [(body, now) for body, now in self.heard if "kind" not in body and body["reason"] == "time"]
