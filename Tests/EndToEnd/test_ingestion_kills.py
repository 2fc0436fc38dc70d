"""What ingestion has acknowledged is stored, once, whatever is killed.

MARTLET_INGESTION_KILLS (8 unless set; 50 in `make soak`) says how often ingestion or PostgreSQL is killed with SIGKILL.
"""

import os
import random
from collections import Counter

from installation import SEED, wait_for, wait_for_a_moment
from load import Load, define
from sealing import Opener

KILLS = int(os.environ.get("MARTLET_INGESTION_KILLS", "8"))
EXAMPLES = False


def test_acknowledged_is_stored_and_nothing_twice(martlet):
    define(martlet)
    martlet.take_over()
    chance = random.Random(SEED)
    load = Load(martlet, 400)
    load.start()
    try:
        for number in range(KILLS):
            wait_for_a_moment(chance.uniform(0.2, 1.5))
            if chance.random() < 0.5:
                martlet.processes["ingestion"].kill()
                martlet.processes["ingestion"].wait()
                martlet.start_service("ingestion")
            else:
                martlet.postgres.kill()
                martlet.postgres.start()
            before = len(load.acknowledged)
            wait_for(lambda: len(load.acknowledged) > before, f"anything after kill {number + 1}", within=60)
    finally:
        load.stop()
    acknowledged = sorted(load.acknowledged)
    assert len(acknowledged) > KILLS
    print(f"seed {SEED}: {len(acknowledged)} acknowledged, {load.retries} requests repeated, {KILLS} kills")
    stored = martlet.value(
        "SELECT count(*) FROM ingestion.message_key WHERE message_id = ANY(%s)", acknowledged)
    assert stored == len(acknowledged), "something acknowledged is not stored"
    raw = Counter(body["messageId"] for _, body in Opener(martlet).stream("ingestion.stream_events", "ingestion"))
    assert {message: count for message, count in raw.items() if count > 1} == {}
    gaps = martlet.sql(
        """SELECT shard FROM ingestion.stream_events GROUP BY shard
           HAVING min("offset") <> 1 OR max("offset") <> count(*)""")
    assert gaps == []
    assert martlet.get("ingestion", "/v1/reconciliation")["balanced"]
