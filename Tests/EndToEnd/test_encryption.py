"""The keys of an installation: rotated while events come in and look-ups are answered, and destroyed by an erasure."""

from installation import SERVICES, wait_for
from load import Load, address, define
from sealing import Opener

# Real time: days are what keys are made for.
REHEARSAL = False
EXAMPLES = False


def wrapped_under(martlet):
    """How many data keys each key-encryption key wraps, by its name."""
    tables = ["profiles.data_key"] + [f"{service}.day_key" for service in SERVICES if service != "console"]
    counts = {}
    for table in tables:
        if martlet.value("SELECT to_regclass(%s)", table) is None:
            continue
        for kek, count in martlet.sql(f"SELECT kek_id, count(*) FROM {table} GROUP BY 1"):
            counts[kek] = counts.get(kek, 0) + count
    return counts


def ring(martlet):
    """The names of the keys in the installation's file, the one in force first."""
    words = (martlet.directory / "key-encryption-keys").read_text().split()
    return [word.split(":")[0] for word in words]


def known(martlet, shopper):
    profile = martlet.call(
        "POST", "identity", "/v1/profiles/lookup", json={"type": "email", "value": address(shopper)}, expect=200)
    assert profile["traits"]["email"]["value"] == address(shopper)
    return profile["profileId"]


def test_the_key_encryption_key_is_rotated_under_load(martlet):
    define(martlet)
    load = Load(martlet, per_second=100)
    load.start()
    wait_for(lambda: len(load.acknowledged) > 200, "some load", within=30)
    (first,) = ring(martlet)
    said = martlet.martlet("keys", "rotate-encryption")
    second, old = ring(martlet)
    assert old == first and second in said
    assert wrapped_under(martlet).keys() == {second}
    # Everybody works on, also with whoever comes after it.
    before = len(load.acknowledged)
    wait_for(lambda: len(load.acknowledged) > before + 200, "more load", within=30)
    load.stop()
    assert load.failure is None
    martlet.drain()
    assert martlet.quarantined() == []
    for shopper in sorted(load.shoppers)[::50]:
        known(martlet, shopper)

    said = martlet.martlet("keys", "rotate-encryption", "--continue", "--forget-old")
    assert ring(martlet) == [second], said
    assert wrapped_under(martlet).keys() == {second}
    # Processes that were started with nothing but the new key.
    martlet.take_over()
    newest = sorted(load.shoppers)[-1]
    profile = known(martlet, newest)
    entries = martlet.items("identity", f"/v1/profiles/{profile}/timeline")
    assert len(entries) >= 2
    told = list(Opener(martlet).timeline())
    assert len(told) >= len(load.acknowledged)


def test_search_finds_by_the_beginnings_of_what_lies_sealed(martlet):
    martlet.collect("identify", {"userId": "sealed-1", "traits": {
        "email": "margarethe@sealed.example", "firstName": "Margarethe", "lastName": "Zwyssig"}})
    martlet.drain()
    for beginning in ("zwy", "zwyssig", "margar", "margarethe@sealed", "sealed-1"):
        found = martlet.call(
            "POST", "identity", "/v1/profiles/search", json={"prefix": beginning}, expect=200)["items"]
        assert [each["traits"]["lastName"]["value"] for each in found] == ["Zwyssig"], beginning
    rows = martlet.sql(
        "SELECT to_jsonb(t)::text FROM profiles.search_prefix t UNION ALL SELECT to_jsonb(i)::text FROM profiles.identifier i")
    text = "\n".join(row for (row,) in rows).lower()
    assert "zwyssig" not in text and "margarethe" not in text


def test_an_erasure_destroys_the_key(martlet):
    martlet.collect("identify", {"userId": "sealed-2", "traits": {"email": "gone@sealed.example"}})
    martlet.drain()
    profile = martlet.call(
        "POST", "identity", "/v1/profiles/lookup", json={"type": "userId", "value": "sealed-2"},
        expect=200)["profileId"]
    body, shard, offset = martlet.sql(
        'SELECT body, shard, "offset" FROM profiles.timeline WHERE profile_id = %s', profile)[0]
    copy = Opener(martlet)
    assert "gone@sealed.example" in copy.text(body, f"profiles.timeline {shard} {offset}", profile=profile)
    answer = martlet.call("POST", "consent", "/v1/privacy-requests", expect=202, json={
        "type": "erasure", "subject": {"profileId": profile}})
    wait_for(
        lambda: martlet.get("consent", f"/v1/privacy-requests/{answer['id']}")["status"] == "completed",
        "the erasure", within=60)
    assert martlet.value("SELECT count(*) FROM profiles.data_key WHERE profile_id = %s", profile) == 0
    # A copy of the row from before, such as in a backup of that table, tells nothing with the keys there are.
    later = Opener(martlet)
    try:
        later.text(body, f"profiles.timeline {shard} {offset}", profile=profile)
        raise AssertionError("it opens still")
    except KeyError:
        pass
