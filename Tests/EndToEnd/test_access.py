"""Who may do what: roles in the database, write keys, scopes, revocation, and secrets that stay secret."""

import json
import os
import re
import stat
import uuid

import psycopg
import pytest

from contract import operations, put_somebody_through
from installation import REPOSITORY, SERVICES, wait_for

# What each service may write in the customer profile store.
PROFILE_TABLES = {
    "identity": {
        "profile", "identifier", "identifier_share", "merge", "trait", "timeline", "data_key", "search_prefix", "account",
        "account_trait", "account_member", "unmerged_profile", "erased_identifier"},
    "consent": {"purpose", "consent_state", "consent_unmerge", "consent_policy", "restriction", "retention_policy"},
    "segmentation": {"membership", "score", "stage"},
}
SETTINGS = {"MARTLET_LOG_LEVEL": "debug"}


def as_role(martlet, service):
    """A connection under the role of a service."""
    password = json.loads((martlet.directory / "roles.json").read_text())[service]
    url = martlet.postgres.url("martlet").split("@", 1)[1]
    return psycopg.connect(f"postgres://martlet_{service}:{password}@{url}", autocommit=True)


def tables(martlet):
    """Every table with its columns: (schema, table, [column])."""
    return martlet.sql(
        """SELECT n.nspname, c.relname, array_agg(a.attname::text ORDER BY a.attnum)
           FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
           JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
           WHERE c.relkind IN ('r', 'p') AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
           GROUP BY 1, 2 ORDER BY 1, 2""")


@pytest.mark.parametrize("service", SERVICES)
def test_a_role_writes_only_the_tables_of_its_service(martlet, service):
    wrong = []
    with as_role(martlet, service) as connection:
        for schema, table, columns in tables(martlet):
            own = schema == service or schema == "profiles" and table in PROFILE_TABLES.get(service, ())
            if own:
                continue
            attempts = {
                "INSERT": f'INSERT INTO {schema}."{table}" DEFAULT VALUES',
                "DELETE": f'DELETE FROM {schema}."{table}" WHERE false',
                "TRUNCATE": f'TRUNCATE {schema}."{table}"',
                "DROP": f'DROP TABLE {schema}."{table}"',
            }
            for column in columns:
                # Delivery locks consent while it sends; PostgreSQL asks for the right to update for that.
                if (service, schema, table, column) == ("delivery", "profiles", "consent_state", "lock_tick"):
                    continue
                attempts[f"UPDATE {column}"] = (
                    f'UPDATE {schema}."{table}" SET "{column}" = "{column}" WHERE false')
            for what, statement in attempts.items():
                try:
                    connection.execute(statement)
                    wrong.append(f"{what} {schema}.{table}")
                except psycopg.errors.InsufficientPrivilege:
                    pass
                except psycopg.Error as error:
                    wrong.append(f"{what} {schema}.{table}: {type(error).__name__}")
    assert wrong == []


@pytest.mark.parametrize("service", SERVICES)
def test_a_role_is_no_owner_and_makes_nothing(martlet, service):
    with as_role(martlet, service) as connection:
        for statement in [
            "CREATE TABLE public.mine (id int)", f"CREATE TABLE {service}.mine (id int)", "CREATE SCHEMA mine",
            "CREATE ROLE mine", "CREATE DATABASE mine", "SET ROLE postgres",
        ]:
            with pytest.raises(psycopg.Error):
                connection.execute(statement)


def test_the_consent_ledger_can_only_grow(martlet):
    with as_role(martlet, "consent") as connection:
        for statement in [
            "UPDATE consent.ledger_entry SET purpose = 'x' WHERE false",
            "DELETE FROM consent.ledger_entry WHERE false", "TRUNCATE consent.ledger_entry",
        ]:
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                connection.execute(statement)


def test_a_write_key_may_append_and_nothing_else(martlet):
    answer = martlet.collect("track", {"anonymousId": "appender", "event": "Appended"})
    assert answer["accepted"] == 1
    too_much = []
    for operation in operations():
        if operation.takes_write_key or operation.is_open:
            continue
        path = filled(operation.path)
        for arguments in [
            {"auth": (martlet.write_key, "")}, {"headers": {"Authorization": f"Bearer {martlet.write_key}"}},
        ]:
            answer = martlet.http.request(
                operation.method, martlet.url(operation.service) + path, json={}, timeout=30, **arguments)
            if answer.status_code not in (401, 403):
                too_much.append((str(operation), answer.status_code))
    assert too_much == []


def test_without_a_key_only_open_endpoints_answer(martlet):
    too_much, too_little = [], []
    for operation in operations():
        answer = martlet.http.request(
            operation.method, martlet.url(operation.service) + filled(operation.path), json={}, timeout=30,
            allow_redirects=False)
        if operation.is_open and answer.status_code in (401, 403):
            too_little.append((str(operation), answer.status_code))
        if not operation.is_open and not operation.takes_write_key and answer.status_code not in (401, 403):
            too_much.append((str(operation), answer.status_code))
        if not operation.is_open and answer.status_code == 401:
            assert "www-authenticate" in answer.headers, operation
    assert too_much == []
    assert too_little == []


def test_a_key_without_the_scope_gets_403(martlet):
    key = martlet.martlet("keys", "create", "--name", "narrow", "--scope", "catalog:read").strip().splitlines()[-1]
    assert martlet.call("GET", "recommendation", "/v1/catalog/items", key=key).status_code == 200
    passed = []
    for operation in operations():
        if operation.is_open or operation.takes_write_key or "/catalog/" in operation.path and operation.method == "get":
            continue
        answer = martlet.call(operation.method.upper(), operation.service, filled(operation.path), key=key, json={})
        if answer.status_code != 403:
            passed.append((str(operation), answer.status_code))
        else:
            assert answer.headers["content-type"].startswith("application/problem+json")
    assert passed == []


def test_a_revoked_key_gets_401_and_a_rotated_one_goes_on_for_a_while(martlet):
    key = martlet.martlet("keys", "create", "--name", "brief", "--scope", "segments:read").strip().splitlines()[-1]
    assert martlet.call("GET", "segmentation", "/v1/segments", key=key).status_code == 200
    listed = martlet.martlet("keys", "list")
    assert key not in listed
    identifier = next(line.split()[0] for line in listed.splitlines() if " brief " in line)
    successor = martlet.martlet("keys", "rotate", identifier, "--overlap", "1h").strip().splitlines()[-1]
    for each in (key, successor):
        assert martlet.call("GET", "segmentation", "/v1/segments", key=each).status_code == 200
    martlet.martlet("keys", "revoke", identifier)
    wait_for(
        lambda: martlet.call("GET", "segmentation", "/v1/segments", key=key).status_code == 401,
        "the revoked key to be refused", within=5)
    assert martlet.call("GET", "segmentation", "/v1/segments", key=successor).status_code == 200


def test_a_made_up_token_is_nobody(martlet):
    for service in SERVICES:
        for bearer in ["mk_" + "A" * 43, "eyJhbGciOiJub25lIn0.eyJpc3MiOiJpZGVudGl0eSJ9.", "x", "mk_"]:
            answer = martlet.call("GET", service, first_guarded_list(service), key=bearer)
            assert answer.status_code == 401, (service, bearer, answer.text)
            assert answer.headers["content-type"].startswith("application/problem+json")


def test_secrets_are_readable_to_their_owner_alone(martlet):
    secret = ["database-url", "roles.json", "service-secret", "admin-key", "write-key", "postgres/url",
              "postgres/password"]
    for name in secret:
        mode = stat.S_IMODE(os.stat(martlet.directory / name).st_mode)
        assert mode == 0o600, f"{name} has mode {mode:o}"
    hashed = martlet.sql("SELECT secret_hash::text FROM platform.api_key")
    assert martlet.admin_key not in str(hashed)


def test_no_log_holds_a_secret_or_an_address(martlet, mailbox):
    canary = f"canary-{uuid.uuid4().hex}"
    address = f"{canary}@canary.example"
    martlet.collect("identify", {"userId": canary, "traits": {"email": address, "name": canary}})
    martlet.collect("track", {"userId": canary, "event": "Product Added", "properties": {"note": canary}})
    martlet.drain()
    looked_up = martlet.call(
        "POST", "identity", "/v1/profiles/lookup", json={"type": "email", "value": address}, expect=200)
    martlet.call("POST", "consent", "/v1/consents", expect=201, json={
        "subject": {"identifier": {"type": "email", "value": address}}, "purpose": "marketing", "action": "grant",
        "source": "form", "textVersion": "1"})
    # Mistakes are logged too.
    martlet.call("POST", "identity", "/v1/profiles/lookup", json={"type": "email", "value": address, "x": address})
    martlet.http.post(martlet.url("ingestion") + "/v1/track", data=b'{"userId": "' + canary.encode() + b'", ',
                      headers={"Content-Type": "application/json"}, auth=(martlet.write_key, ""), timeout=30)
    martlet.call("POST", "consent", "/v1/consents", json={"subject": {"identifier": {"type": "email",
                 "value": address}}, "purpose": canary, "action": "grant", "source": canary})
    martlet.advance("90m")
    assert looked_up["profileId"]

    passwords = json.loads((martlet.directory / "roles.json").read_text()).values()
    planted = {
        "an e-mail address or a name": canary, "the admin key": martlet.admin_key, "the write key": martlet.write_key,
        "the service secret": martlet.secret("service-secret"),
        "the owner's password": martlet.secret("postgres/password"),
    } | {f"the password of role {index}": password for index, password in enumerate(passwords)}
    found = []
    logs = [*(martlet.directory / "logs").glob("*"), martlet.directory / "up.log"]
    assert len(logs) > len(SERVICES)
    for log in logs:
        text = log.read_text(errors="replace")
        found += [f"{what} in {log.name}" for what, secret in planted.items() if secret in text]
    assert found == []


def every_scope():
    """All that a key may be given."""
    text = (REPOSITORY / "Shared/ServiceKit/Access/Scope.swift").read_text()
    return re.findall(r'case \w+ = "([a-z]+:[a-z]+)"', text) + ["admin"]


def new_key(martlet, name, scopes):
    options = [option for scope in scopes for option in ("--scope", scope)]
    return martlet.martlet("keys", "create", "--name", name, *options).strip().splitlines()[-1]


@pytest.fixture(scope="module")
def planted(martlet, mailbox):
    """Somebody with a value of their own in every field that names people, come in every way; and where to see them."""
    known = put_somebody_through(martlet, mailbox)
    profile = known["/v1/profiles/{"]
    found = {each["type"]: each["value"] for each in martlet.get("identity", f"/v1/profiles/{profile}")["identifiers"]}
    mark = uuid.uuid4().hex[:8]
    names = {
        "email": found["email"], "user id": found["userId"], "anonymous id": str(uuid.uuid4()),
        "device": str(uuid.uuid4()), "advertising id": str(uuid.uuid4()), "phone": f"+49301{int(mark, 16):010d}",
        "first name": f"Adaplanted{mark}", "last name": f"Lovelaceplanted{mark}", "street": f"Streetplanted{mark} 12",
        "contact": f"contact-{mark}",
        "second address": f"second-{mark}@planted.example", "browser": f"Browserplanted/{mark}",
        "text": f"Adaplanted{mark} asked"}
    traits = {
        "email": names["email"], "firstName": names["first name"], "lastName": names["last name"],
        "phone": names["phone"], "address": {"street": names["street"], "city": "London"}}
    context = {
        "ip": "203.0.113.77", "userAgent": names["browser"], "traits": traits,
        "device": {"id": names["device"], "advertisingId": names["advertising id"]},
        "externalIds": [{"id": names["contact"], "type": "crm:contact", "encoding": "none", "collection": "users"}]}
    who = {"userId": names["user id"], "anonymousId": names["anonymous id"], "context": context}
    martlet.collect("identify", who | {"traits": traits})
    martlet.collect("track", who | {"event": "Order Completed", "properties": {
        "order_id": mark, "email": names["second address"], "note": names["text"], "category": "Boots",
        "shipping": {"name": names["last name"], "phone": names["phone"]}}})
    martlet.collect("group", who | {"groupId": f"group-{mark}", "traits": {"contact": names["last name"]}})
    # What is kept because it is wrong.
    martlet.collect("track", who | {
        "event": "Wrong", "timestamp": names["text"], "properties": {"email": names["second address"]}})
    martlet.drain()
    martlet.call("POST", "consent", "/v1/consents", expect=201, json={
        "subject": {"profileId": profile}, "purpose": "marketing", "action": "grant", "source": "form",
        "textVersion": "1"})
    martlet.call("PUT", "delivery", "/v1/suppressions", expect=200, json={"address": names["second address"]})
    martlet.call("POST", "consent", f"/v1/privacy-requests/{known['/v1/privacy-requests/{']}/notes", expect=200,
                 json={"text": names["text"]})
    other = martlet.call("POST", "identity", "/v1/profiles", expect=(200, 201), json={
        "identifiers": [{"type": "email", "value": names["second address"]}],
        "traits": {"firstName": names["first name"]}})["profileId"]
    merge = martlet.call("POST", "identity", "/v1/merges", expect=201, json={
        "profileIds": [profile, other], "note": names["text"]})
    martlet.drain()
    return names, known | {
        "/v1/accounts/{": f"group-{mark}", "/v1/merges/{": merge["mergeId"],
        "/v1/quarantine/{": martlet.items("ingestion", "/v1/quarantine")[-1]["quarantineId"]}


def seen_at(operation, known):
    """The path with what exists in its braces, and what else is to be asked for."""
    path = operation.path
    prefix = next((prefix for prefix in known if path.startswith(prefix)), None)
    if prefix:
        value = known[prefix]
        value = value[operation.service] if isinstance(value, dict) else value
        path = prefix[:-1] + value + path[len(prefix):].split("}", 1)[1]
    path = path.replace("{profileId}", known["/v1/profiles/{"])
    more = {}
    if path.endswith("/export"):
        more = {"fields": "email,userId,traits.firstName"}
    elif operation.path == "/v1/profiles/{id}":
        more = {"include": "traits,identifiers,consent,segments,stage,timeline"}
    elif operation.path == "/v1/recommendations":
        more = {"profileId": known["/v1/profiles/{"]}
    return filled(path), more


def test_a_key_without_identifiers_sees_none_at_any_get_route(martlet, planted):
    names, known = planted
    scopes = every_scope()
    key = new_key(martlet, "analyst", [scope for scope in scopes if scope not in ("admin", "identifiers:read")])
    leaks, refused, shown_to_admin = [], [], set()
    for operation in operations():
        if operation.method != "get" or operation.is_open or operation.takes_write_key or operation.is_endless:
            continue
        path, more = seen_at(operation, known)
        answer = martlet.call("GET", operation.service, path, key=key, params=more)
        if answer.status_code == 403:
            refused.append(str(operation))
        content = answer.text + str(answer.headers)
        leaks += [f"{operation}: the {name}" for name, value in names.items() if value.lower() in content.lower()]
        whole = martlet.call("GET", operation.service, path, params=more).text
        shown_to_admin |= {(str(operation), name) for name, value in names.items() if value in whole}
    assert leaks == [], "\n".join(leaks)
    touching = {str(operation) for operation in operations()
                if operation.method == "get" and operation.definition.get("x-martlet-touches") == "identifiers"
                and not operation.is_endless}
    assert set(refused) == touching
    # The search finds what there is to find.
    routes, found = {route for route, _ in shown_to_admin}, {name for _, name in shown_to_admin}
    print(f"an admin sees {len(found)} of {len(names)} planted values at {len(routes)} routes: {sorted(routes)}")
    assert len(routes) >= 8
    assert found == set(names)


def test_a_key_without_identifiers_asks_for_nobody_by_name(martlet, planted):
    names, _ = planted
    scopes = [scope for scope in every_scope() if scope not in ("admin", "identifiers:read")]
    key = new_key(martlet, "asking", scopes)
    sighted = new_key(martlet, "sighted", ["profiles:read", "identifiers:read"])
    lookup = {"type": "email", "value": names["email"]}
    assert martlet.call("POST", "identity", "/v1/profiles/lookup", key=sighted, json=lookup).status_code == 200
    for method, service, path, arguments in [
        ("POST", "identity", "/v1/profiles/lookup", {"json": lookup}),
        ("POST", "identity", "/v1/profiles/search", {"json": {"prefix": names["first name"]}}),
        ("GET", "identity", "/v1/profiles", {
            "params": {"identifierType": "email", "identifierValue": names["email"]}}),
        ("POST", "delivery", "/v1/suppressions/lookup", {"json": {"address": names["email"]}}),
        ("GET", "ingestion", "/v1/quarantine", {"params": {"text": names["email"]}}),
        ("GET", "ingestion", f"/v1/sources/{filled('{id}')}/debugger", {}),
    ]:
        answer = martlet.call(method, service, path, key=key, **arguments)
        assert answer.status_code == 403, (path, answer.text)
        assert "identifiers:read" in answer.json()["detail"], path


def first_guarded_list(service):
    """A path of the service that a key may read."""
    return next(
        operation.path for operation in operations(service)
        if operation.method == "get" and not operation.is_open and "{" not in operation.path)


def filled(path):
    """A path with something of the right shape in its braces."""
    path = path.replace("{stream}", "events").replace("{shard}", "0")
    return re.sub(r"\{[^}]*\}", "01890000-0000-7000-8000-000000000000", path)
