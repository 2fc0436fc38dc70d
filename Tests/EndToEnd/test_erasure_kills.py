"""Each service is killed at every step of an erasure: it finishes, once, and the receipt says what it says otherwise.

A step is a statement of the erasure's transaction that writes. Triggers count them, apart for each service, in sequences,
which no rollback turns back; at the chosen one the session is ended, as it is when the process or the machine dies. In one
erasure all services die at the same number of steps. The last person's services are killed themselves (SIGKILL), each at a
step of its own, held there by a lock.
"""

import os
import random
import uuid

import psycopg
import pytest

from installation import SERVICES, wait_for

EXAMPLES = False
SEED = int(os.environ.get("MARTLET_SEED", random.randrange(1 << 32)))

TRIGGERS = """
CREATE SCHEMA IF NOT EXISTS killing;
CREATE TABLE killing.plan (service text PRIMARY KEY, step bigint NOT NULL, mode text NOT NULL);
GRANT USAGE ON SCHEMA killing TO PUBLIC;
-- Each attempt counts anew until it was killed: some wait for others, and are made more than once.
CREATE FUNCTION killing.begin(name text) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    is_killed boolean;
BEGIN
    EXECUTE format('SELECT is_called FROM killing.%I', 'killed_' || name) INTO is_killed;
    IF NOT is_killed THEN PERFORM setval(format('killing.%I', 'steps_' || name), 1, false); END IF;
END $$;
CREATE FUNCTION killing.mark() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
BEGIN
    -- The erasure's transaction moves its checkpoint before anything else.
    IF NEW.consumer LIKE '%-privacy' THEN
        PERFORM set_config('killing.service', split_part(NEW.consumer, '-', 1), true);
        PERFORM killing.begin(split_part(NEW.consumer, '-', 1));
    END IF;
    RETURN NULL;
END $$;
CREATE FUNCTION killing.step() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
DECLARE
    name text := coalesce(current_setting('killing.service', true), '');
    plan killing.plan;
    step bigint;
    is_killed boolean;
BEGIN
    IF name = '' THEN RETURN NULL; END IF;
    SELECT * INTO plan FROM killing.plan p WHERE p.service = name;
    IF NOT FOUND THEN RETURN NULL; END IF;
    EXECUTE format('SELECT is_called FROM killing.%I', 'killed_' || name) INTO is_killed;
    IF is_killed THEN RETURN NULL; END IF;
    step := nextval(format('killing.%I', 'steps_' || name));
    IF step <> plan.step THEN RETURN NULL; END IF;
    PERFORM nextval(format('killing.%I', 'killed_' || name));
    IF plan.mode = 'end' THEN
        PERFORM pg_terminate_backend(pg_backend_pid());
        PERFORM pg_sleep(5);
    ELSE
        PERFORM pg_advisory_lock_shared(4242, hashtext(name));
    END IF;
    RETURN NULL;
END $$;
"""


def arm(martlet):
    martlet.sql(TRIGGERS)
    for service in SERVICES:
        martlet.sql(f"CREATE SEQUENCE killing.steps_{service}; CREATE SEQUENCE killing.killed_{service}")
    tables = martlet.sql(
        "SELECT n.nspname, c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace "
        "WHERE c.relkind = 'r' AND n.nspname IN ('profiles', " + ", ".join(f"'{name}'" for name in SERVICES) + ")")
    for schema, table in tables:
        if table == "stream_checkpoint":
            martlet.sql(f"CREATE TRIGGER killing_mark AFTER INSERT OR UPDATE ON {schema}.{table} "
                        "FOR EACH ROW EXECUTE FUNCTION killing.mark()")
        # In the order of their names the mark is made first.
        martlet.sql(f"CREATE TRIGGER killing_step AFTER INSERT OR UPDATE OR DELETE ON {schema}.{table} "
                    "FOR EACH STATEMENT EXECUTE FUNCTION killing.step()")


def plan(martlet, steps, mode):
    martlet.sql("DELETE FROM killing.plan")
    for service, step in steps.items():
        martlet.sql(f"ALTER SEQUENCE killing.steps_{service} RESTART WITH 1; "
                    f"ALTER SEQUENCE killing.killed_{service} RESTART WITH 1")
        martlet.sql("INSERT INTO killing.plan VALUES (%s, %s, %s)", service, step, mode)


def taken(martlet):
    """How many steps each service has come to in its last attempt, or up to where it was killed."""
    return {service: martlet.value(f"SELECT CASE WHEN is_called THEN last_value ELSE 0 END FROM killing.steps_{service}")
            for service in SERVICES}


def killed(martlet):
    return {service for service in SERVICES if martlet.value(f"SELECT is_called FROM killing.killed_{service}")}


def somebody(martlet, number):
    """One like the other, but for what they are known by."""
    name = f"killed-{number}-{uuid.uuid4().hex[:8]}"
    martlet.collect("identify", {
        "messageId": str(uuid.uuid4()), "userId": name, "anonymousId": f"d-{name}",
        "traits": {"email": f"{name}@killed.example", "firstName": "K", "plan": "gold"}})
    for event, properties in [
        ("Product Viewed", {"sku": "A"}),
        ("Order Completed", {"order_id": name, "total": "1.00", "currency": "EUR", "products": [
            {"product_id": "A", "sku": "A", "price": "1.00", "quantity": 1}]}),
        ("Marked", {}),
    ]:
        martlet.collect("track", {
            "messageId": str(uuid.uuid4()), "userId": name, "anonymousId": f"d-{name}", "event": event,
            "properties": properties})
    return name


def prepared(martlet, count):
    names = [somebody(martlet, number) for number in range(count)]
    martlet.drain()
    profiles = [martlet.call("POST", "identity", "/v1/profiles/lookup", expect=200, json={
        "type": "userId", "value": name})["profileId"] for name in names]
    for profile in profiles:
        martlet.call("POST", "consent", "/v1/consents", expect=201, json={
            "subject": {"profileId": profile}, "purpose": "marketing", "action": "grant", "source": "form"})
    martlet.drain()
    return profiles


def ask(martlet, profile):
    return martlet.call("POST", "consent", "/v1/privacy-requests", expect=202, json={
        "type": "erasure", "subject": {"profileId": profile}})["id"]


def ended(martlet, request, within=60):
    def look():
        found = martlet.get("consent", f"/v1/privacy-requests/{request}")
        assert found["status"] != "failed", found
        return found["state"] == "completed" and found
    wait_for(look, "the erasure", within=within)
    martlet.drain()
    return martlet.get("consent", f"/v1/privacy-requests/{request}/receipt")


def counts(receipt):
    """What the receipt says of identity and ingestion. The others forget whoever is erased twice, when they are asked and
    when they read of it, and what the receipt counts is what the first of the two has left."""
    assert {store["service"] for store in receipt["stores"]} == set(SERVICES)
    return {store["service"]: store["counts"] for store in receipt["stores"] if store["service"] in ("identity", "ingestion")}


def remains(martlet, profile):
    """In which tables rows of the person are, and how many."""
    tables = martlet.sql(
        "SELECT n.nspname || '.' || c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace "
        "JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname = 'profile_id' AND a.atttypid = 'uuid'::regtype "
        "WHERE c.relkind = 'r' AND n.nspname IN ('profiles', " + ", ".join(f"'{name}'" for name in SERVICES) + ")")
    left = {table: martlet.value(f"SELECT count(*) FROM {table} WHERE profile_id = %s", profile) for [table] in tables}
    return {table: count for table, count in left.items() if count}


def facts(martlet, profile):
    """How often the timeline says that it was erased, itself and in the place of each event."""
    return martlet.value("SELECT count(*) FROM profiles.timeline WHERE profile_id = %s AND type = 'erased'", profile)


def at_its_step(martlet, services):
    """One of the services whose session waits where it is to be killed."""
    for service in sorted(services):
        if martlet.value(
                "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND classid = 4242 AND NOT granted "
                "AND objid::bigint = (hashtext(%s)::bigint & 4294967295)", service):
            return service
    return None


@pytest.fixture(scope="module")
def world(martlet, mailbox):
    martlet.call("PUT", "segmentation", "/v1/segments/killed", expect=201, json={
        "rule": {"count": {"event": "Order Completed", "atLeast": 1}}})
    martlet.call("PUT", "delivery", "/v1/templates/killed", expect=201, json={
        "subject": "Hello", "text": "Hello", "html": "<p>Hello</p>"})
    martlet.call("PUT", "journeys", "/v1/journeys/killed", expect=201, headers={"Content-Type": "application/yaml"},
                 data="name: Killed\nstatus: active\nentry: {event: Marked, reentry: always}\nsteps:\n"
                      "  - send: {template: killed, channel: email, purpose: transactional}\n  - wait: {for: 30d}\n")
    martlet.take_over()
    arm(martlet)
    return martlet


def test_each_service_dies_at_every_step_of_an_erasure_and_finishes_once(world):
    martlet = world
    [first] = prepared(martlet, 1)
    plan(martlet, dict.fromkeys(SERVICES, 0), "end")
    expected = counts(ended(martlet, ask(martlet, first)))
    steps, told, kept = taken(martlet), facts(martlet, first), remains(martlet, first)
    print(f"what remains: {kept}")
    assert all(count > 3 for count in steps.values()), steps
    assert expected["identity"]["identifiers"] >= 3, expected
    most = max(steps.values())
    print(f"steps of an erasure: {steps}")
    deaths = dict.fromkeys(SERVICES, 0)
    for number, profile in enumerate(prepared(martlet, most), 1):
        plan(martlet, dict.fromkeys(SERVICES, number), "end")
        receipt = ended(martlet, ask(martlet, profile))
        # How many statements it takes depends a little on what a service has read and written before.
        for service in killed(martlet):
            deaths[service] += 1
        assert counts(receipt) == expected, number
        assert facts(martlet, profile) == told
        assert remains(martlet, profile) == kept, number
    print(f"deaths: {deaths}")
    assert all(deaths[service] >= count - 6 for service, count in steps.items()), (deaths, steps)
    assert deaths["identity"] >= steps["identity"] - 1 and deaths["ingestion"] >= steps["ingestion"] - 2, (deaths, steps)


def test_each_process_is_killed_in_the_middle_of_an_erasure_and_finishes_once(world):
    martlet = world
    print(f"MARTLET_SEED={SEED}")
    generator = random.Random(SEED)
    control, profile = prepared(martlet, 2)
    plan(martlet, dict.fromkeys(SERVICES, 0), "end")
    expected = counts(ended(martlet, ask(martlet, control)))
    # Up to where each comes whatever it has read before.
    steps = {service: generator.randint(1, min(count, 8)) for service, count in taken(martlet).items()}
    print(f"killed at {steps}")
    plan(martlet, steps, "hold")
    with psycopg.connect(martlet.postgres.url("martlet"), autocommit=True) as holder:
        for service in SERVICES:
            holder.execute("SELECT pg_advisory_lock(4242, hashtext(%s))", (service,))
        request = ask(martlet, profile)
        left = set(SERVICES)
        while left:
            service = wait_for(lambda: at_its_step(martlet, left), f"one of {left} at its step")
            left.remove(service)
            martlet.processes[service].kill()
            martlet.processes[service].wait(30)
            holder.execute("SELECT pg_advisory_unlock(4242, hashtext(%s))", (service,))
            martlet.start_service(service)
            martlet.wait_for_ready(service)
    assert killed(martlet) == set(SERVICES)
    receipt = ended(martlet, request, within=120)
    assert counts(receipt) == expected
    assert facts(martlet, profile) == facts(martlet, control)
    assert remains(martlet, profile) == remains(martlet, control)
