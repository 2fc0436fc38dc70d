"""A disk that is full means 503 and "try again", and Martlet is well by itself once there is room.

PostgreSQL's data and its WAL each get a small disk of their own, which is then filled. The two end differently:

- Where the data has no room, PostgreSQL refuses the statement (53100) and runs on.
- Where the WAL has no room, PostgreSQL panics. It restarts by itself, and ends for good when there is still no room for
  what recovery writes. Starting it again is the business of its supervisor, which this test stands in for; nobody
  touches Martlet.
"""

import base64
import json
import os
import shutil
import time
import uuid
from collections import Counter

import psycopg
import pytest

from contract import operations
from installation import SERVICES, Installation, MountRefused, wait_for, wait_for_a_moment
from load import Load, define
from sealing import Opener

FULL_SECONDS = float(os.environ.get("MARTLET_FULL_SECONDS", "5"))
MEGABYTES = 320


@pytest.fixture(scope="module")
def martlet(mailbox):
    installation = Installation("disk-full", environment={"MARTLET_SMTP_URL": mailbox.url}, examples=False)
    try:
        installation.directory.mkdir(parents=True)
        installation.postgres.start()
        installation.postgres.stop()
        try:
            installation.postgres.put_on_small_disks(data=MEGABYTES, wal=MEGABYTES)
        except MountRefused as refused:
            pytest.skip(f"a disk that fills up takes the right to mount one: {refused}")
        installation.postgres.start()
        installation.up()
        define(installation)
        yield installation
    finally:
        installation.remove()


class Ballast:
    """A file that takes all the room there is."""

    def __init__(self, directory):
        self.path = directory / "ballast"

    def fill(self):
        with open(self.path, "wb", buffering=0) as file:
            for size in (1 << 20, 1 << 12):
                try:
                    while True:
                        file.write(bytes(size))
                except OSError:
                    pass
        assert shutil.disk_usage(self.path.parent).free == 0

    def remove(self):
        self.path.unlink(missing_ok=True)


def send_every_way(martlet):
    """One event in each way to collect, well and badly formed: (way, messageId, answer)."""
    sent = []
    for operation in operations("ingestion"):
        for event in ({"event": "Full"}, {"event": 7}):
            if not operation.takes_write_key:
                continue
            message = str(uuid.uuid4())
            call = {"messageId": message, "userId": "full", "name": "Full", "groupId": "g", "previousId": "p", **event}
            url, key = martlet.url("ingestion") + operation.path, (martlet.write_key, "")
            if operation.method == "get":
                query = {
                    "data": base64.b64encode(json.dumps(call).encode()), "writeKey": martlet.write_key, "event": "Full",
                    "messageId": message, "userId": "full"}
                answer = martlet.http.get(url, params=query, auth=key, timeout=60)
            else:
                if operation.path.rsplit("/", 1)[1] in ("batch", "b", "import"):
                    call = {"batch": [{"type": "track", **call}]}
                answer = martlet.http.post(url, json=call, auth=key, timeout=60)
            sent.append((str(operation), message, answer))
    return sent


def what_postgresql_says(martlet, what):
    """Why it can't: that the test has brought about what it is about."""
    if what == "data":
        with pytest.raises(psycopg.errors.DiskFull) as refusal:
            martlet.sql("CREATE TABLE public.one_more AS SELECT generate_series(1, 100000)")
        return str(refusal.value).split("\n")[0]
    log = martlet.postgres.data / "server.log"
    panics = wait_for(
        lambda: [line for line in log.read_text().splitlines() if "PANIC" in line], "PostgreSQL to panic", within=30)
    assert "No space left on device" in panics[0]
    return f"{len(panics)} times {panics[0].split('PANIC:')[1].strip()}"


def is_stored(martlet, message):
    return martlet.value(
        """SELECT EXISTS (SELECT FROM ingestion.message_key WHERE message_id = %s)
           OR EXISTS (SELECT FROM ingestion.quarantine WHERE message_id = %s)""", message, message)


def is_refused(load):
    return load.answers["503 with Retry-After"] > 0


@pytest.mark.parametrize("what", ["data", "wal"])
def test_a_full_disk_is_503_and_then_nothing_is_missing_or_doubled(martlet, what):
    pids = {service: martlet.pid(service) for service in SERVICES}
    cluster = martlet.postgres
    ballast = Ballast(cluster.data if what == "data" else cluster.data / "pg_wal")
    load = Load(martlet, 1000)
    load.start()
    said = []
    try:
        wait_for(lambda: len(load.acknowledged) > 1000, "the first thousand events")
        ballast.fill()
        # What room there is inside of files may be used up first.
        wait_for(lambda: is_refused(load), "the first 503", within=60)
        before = Counter(load.answers)
        acknowledged = len(load.acknowledged)
        said.append(what_postgresql_says(martlet, what))
        every_way = send_every_way(martlet)
        wait_for_a_moment(FULL_SECONDS)
        full = load.answers - before
        taken = len(load.acknowledged) - acknowledged
        said.append("PostgreSQL ran on" if cluster.is_running() else "PostgreSQL ended")
        assert what == "data" or not ready(martlet)
    finally:
        ballast.remove()
    removed = time.monotonic()
    if not cluster.is_running():
        cluster.start()
        said.append("was started by its supervisor")
    acknowledged = len(load.acknowledged)
    wait_for(lambda: len(load.acknowledged) > acknowledged + 1000, "events to be taken again", within=60)
    said.append(f"taken again {time.monotonic() - removed:.1f} s after there was room")
    load.stop()
    print(f"{what}: while full {dict(full)}, {taken} events acknowledged; in all {dict(load.answers)}; {', '.join(said)}")
    assert set(load.answers) == {200, "503 with Retry-After"}
    assert load.unanswered == []
    assert full["503 with Retry-After"] > 3
    # A single event may find room inside of a file that is there already; then it is stored.
    wrong = [
        (way, answer.status_code, answer.text) for way, message, answer in every_way
        if not (answer.status_code == 503 and "retry-after" in answer.headers
                or answer.status_code == 200 and is_stored(martlet, message))]
    assert wrong == []
    ways = Counter(answer.status_code for _, _, answer in every_way)
    print(f"{what}: one event in every way: {dict(ways)}")
    assert ways[503] > 0

    for service in SERVICES:
        martlet.wait_for_ready(service)
    assert {service: martlet.pid(service) for service in SERVICES} == pids, "a service was started again"
    martlet.drain(within=300)
    acknowledged = sorted(load.acknowledged)
    stored = Counter(dict(martlet.sql(
        "SELECT message_id, count(*) FROM profiles.timeline WHERE message_id = ANY(%s) GROUP BY 1", acknowledged)))
    assert len(stored) == len(acknowledged), "something acknowledged is not stored"
    assert set(stored.values()) == {1}
    raw = Counter(body["messageId"] for _, body in Opener(martlet).stream("ingestion.stream_events", "ingestion"))
    assert {message: count for message, count in raw.items() if count > 1} == {}
    assert martlet.get("ingestion", "/v1/reconciliation")["balanced"]
    assert martlet.quarantined() == []


def ready(martlet):
    return martlet.call("GET", "ingestion", "/readyz", key=None).status_code == 200
