"""A backup that is put back brings nobody back: what was erased, restricted and withdrawn since is done again."""

import json
import os
import subprocess
import uuid

from installation import wait_for
from test_erasure import Everything

EXAMPLES = False
SETTINGS = {"MARTLET_ERASURES_EVERY": "1s"}


def postgres(martlet, *command):
    password = martlet.secret("postgres/password")
    done = subprocess.run(
        [*command, "--dbname", martlet.postgres.url("martlet").replace(f":{password}@", "@"), "--no-password"],
        capture_output=True, env=os.environ | {"PGPASSWORD": password})
    assert done.returncode == 0, done.stderr.decode()[-2000:]


def person(martlet):
    name = f"restored-{uuid.uuid4().hex[:10]}"
    martlet.collect("identify", {"userId": name, "traits": {"email": f"{name}@restored.example", "firstName": name}})
    return name


def profile(martlet, name):
    return martlet.call(
        "POST", "identity", "/v1/profiles/lookup", json={"type": "userId", "value": name}, expect=200)["profileId"]


def consent(martlet, who, action, expect=201):
    martlet.call("POST", "consent", "/v1/consents", expect=expect, json={
        "subject": {"profileId": who}, "purpose": "marketing", "action": action, "source": "form", "textVersion": "1"})


def wish(martlet, who, name, action):
    martlet.call("POST", "consent", "/v1/consents", expect=201, json={
        "subject": {"profileId": who}, "purpose": name, "action": action, "source": "preference-centre"})


def ask(martlet, kind, who):
    made = martlet.call("POST", "consent", "/v1/privacy-requests", expect=(201, 202), json={
        "type": kind, "subject": {"profileId": who}, "verifiedBy": {"method": "signed in"}})
    wait_for(lambda: martlet.get("consent", f"/v1/privacy-requests/{made['id']}")["state"] == "completed", kind)
    return made["id"]


def state(martlet, who):
    found = martlet.get("consent", f"/v1/profiles/{who}/consents")
    return next(each["state"] for each in found["consents"] if each["purpose"] == "marketing")


def test_a_backup_that_is_put_back_brings_nobody_back(martlet):
    erased, withdrawn, restricted, lifted, left, earlier = [person(martlet) for _ in range(6)]
    martlet.drain()
    ids = {name: profile(martlet, name) for name in (erased, withdrawn, restricted, lifted, left, earlier)}
    for name in ids:
        consent(martlet, ids[name], "grant")
    ask(martlet, "erasure", ids[earlier])
    martlet.drain()
    backup = martlet.directory / "backup.dump"
    postgres(martlet, "pg_dump", "--format=custom", f"--file={backup}")

    # Since then.
    late = person(martlet)
    martlet.drain()
    ids[late] = profile(martlet, late)
    ask(martlet, "erasure", ids[erased])
    ask(martlet, "erasure", ids[late])
    consent(martlet, ids[withdrawn], "withdraw")
    wish(martlet, ids[withdrawn], "channel:email", "withdraw")
    wish(martlet, ids[withdrawn], "frequency:weekly", "grant")
    ask(martlet, "restriction", ids[restricted])
    request = ask(martlet, "restriction", ids[lifted])
    martlet.call("POST", "consent", f"/v1/privacy-requests/{request}/lift", expect=200, json={
        "reason": "settled", "noticeSentAt": martlet.now().isoformat().replace("+00:00", "Z")})
    martlet.drain()
    martlet.down()
    text = (martlet.directory / "ledger-heads" / "erasures.ndjson").read_text()
    kinds = [json.loads(line)["kind"] for line in text.splitlines()]
    assert {kind: kinds.count(kind) for kind in ("erasure", "withdrawal", "restriction", "lifting")} == {
        "erasure": 3, "withdrawal": 3, "restriction": 2, "lifting": 1}
    assert not [name for name in ids if name in text], "the list names people"

    # The backup is put back.
    tables = martlet.sql("SELECT count(*) FROM pg_tables WHERE schemaname IN ('identity', 'profiles')")
    postgres(martlet, "pg_restore", "--clean", "--if-exists", "--exit-on-error", "--single-transaction", str(backup))
    assert martlet.sql("SELECT count(*) FROM pg_tables WHERE schemaname IN ('identity', 'profiles')") == tables
    martlet.up()
    assert profile(martlet, erased) == ids[erased], "the backup has them"
    assert state(martlet, ids[withdrawn]) == "granted"

    said = martlet.martlet("restore")
    print(said)
    assert "withdrawals: 3 done again" in said
    assert "restrictions: 1 done again" in said
    assert "erasures: 1 begun again" in said
    assert "erased: 1 of 1" in said
    martlet.drain()
    for name in (erased, late, earlier):
        answer = martlet.call("POST", "identity", "/v1/profiles/lookup", json={"type": "userId", "value": name})
        assert answer.status_code == 404, name
    assert martlet.call("GET", "identity", f"/v1/profiles/{ids[erased]}").status_code in (404, 410)
    assert martlet.value("SELECT count(*) FROM profiles.data_key WHERE profile_id = %s", ids[erased]) == 0
    # Nothing that the services could still read holds anything of them.
    left_over = {
        (table, column) for table, column, text in Everything(martlet).opened()
        for name in (erased, late, earlier) if name in text}
    assert left_over == set()
    assert any(left in text for _, _, text in Everything(martlet).opened()), "the search finds nobody at all"
    assert state(martlet, ids[withdrawn]) == "withdrawn"
    assert martlet.get("consent", f"/v1/profiles/{ids[withdrawn]}/consents")["wishes"] == {
        "refusedChannels": ["email"], "frequency": "weekly"}
    assert state(martlet, ids[left]) == "granted"
    standing = {str(who) for (who,) in martlet.sql("SELECT profile_id FROM profiles.restriction")}
    assert standing == {ids[restricted]}
    # Whom the backup has never known stays erased as well: what comes late of them makes nobody.
    martlet.collect("identify", {
        "userId": late, "timestamp": "2020-01-01T00:00:00Z", "traits": {"email": f"{late}@restored.example"}})
    martlet.drain()
    answer = martlet.call("POST", "identity", "/v1/profiles/lookup", json={"type": "userId", "value": late})
    assert answer.status_code == 404

    # Once more, and nothing is done twice.
    before = martlet.value("SELECT count(*) FROM consent.ledger_entry")
    requests = martlet.value("SELECT count(*) FROM consent.privacy_request")
    said = martlet.martlet("restore")
    print(said)
    # What was done again is on the list as well.
    assert "withdrawals: 0 done again, 6 there already" in said
    assert "restrictions: 0 done again" in said
    assert "erasures: 0 begun again" in said
    assert martlet.value("SELECT count(*) FROM consent.ledger_entry") == before
    assert martlet.value("SELECT count(*) FROM consent.privacy_request") == requests
