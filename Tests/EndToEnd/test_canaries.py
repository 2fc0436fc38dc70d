"""Secrets and what is personal, sent in every way there is, come out nowhere they shouldn't.

Everything sent here is unmistakable. Afterwards all that the processes have written (the services' logs at their most
talkative, PostgreSQL's log, metrics, command lines) is searched for it, and all that is stored for keys.
"""

import base64
import gzip
import hashlib
import hmac
import json
import os
import re
import subprocess
import threading
import time
import uuid
from pathlib import Path

import psycopg
import pytest

from contract import COLLECTING, operations
from installation import REPOSITORY, SERVICES, Installation, wait_for
from mailbox_server import Mailbox
from sealing import Opener

SMTP_PASSWORD = f"smtp-canary-{uuid.uuid4().hex}"
# The mail server asks for a password without TLS, as one on the same machine may.
pytestmark = pytest.mark.filterwarnings("ignore:Requiring AUTH")


class Person:
    """Somebody all of whose data can be told apart from everything else in the world."""

    def __init__(self):
        mark = uuid.uuid4().hex[:12]
        self.user_id = f"canary-user-{mark}"
        self.device = f"canary-device-{mark}"
        self.email = f"canary-mail-{mark}@canary.example"
        self.name = f"Canaryname{mark}"
        self.phone = "+4990" + str(int(mark, 16))[:11].zfill(11)
        self.street = f"Canarystreet{mark} 1"
        self.note = f"canary-note-{mark}"
        self.page = f"https://shop.example/canary-page-{mark}"

    @property
    def canaries(self):
        return {f"somebody's {name}": value for name, value in vars(self).items()}

    @property
    def traits(self):
        return {
            "email": self.email, "firstName": self.name, "phone": self.phone,
            "address": {"street": self.street, "city": "London"}}

    def event(self, **more):
        return {
            "messageId": str(uuid.uuid4()), "userId": self.user_id, "anonymousId": self.device, "event": "Noted",
            "name": self.note, "groupId": self.note, "previousId": self.device, "traits": self.traits,
            "properties": {"note": self.note, "email": self.email}, "context": {"page": {"url": self.page}}, **more}


class Watch(threading.Thread):
    """Looks at every process's command line, again and again."""

    def __init__(self):
        super().__init__(daemon=True)
        self.seen = set()
        self._ended = threading.Event()

    def run(self):
        while not self._ended.wait(0.05):
            for path in Path("/proc").glob("[0-9]*/cmdline"):
                try:
                    self.seen.add(path.read_bytes())
                except OSError:
                    pass

    def stop(self):
        self._ended.set()
        self.join(10)


class Traffic:
    """What is sent, and what was answered."""

    def __init__(self, martlet):
        self.martlet = martlet
        self.answers = []
        self.keys = {
            "the admin key": martlet.admin_key, "the first write key": martlet.write_key,
            "the service secret": martlet.secret("service-secret"),
            "the identifier secret": martlet.secret("identifier-secret"),
            "the key-encryption key": martlet.secret("key-encryption-keys").split(":")[1],
            "the owner's password": martlet.secret("postgres/password"), "the SMTP password": SMTP_PASSWORD,
        } | {
            f"the database password of {service}": password
            for service, password in json.loads((martlet.directory / "roles.json").read_text()).items()}
        self.people = []
        # What is personal and was given a name of something else's: of a message, of a source.
        self.names = set()

    def person(self):
        self.people.append(Person())
        return self.people[-1]

    def send(self, method, service, path, **arguments):
        arguments.setdefault("timeout", 60)
        arguments.setdefault("allow_redirects", False)
        answer = self.martlet.http.request(method, self.martlet.url(service) + path, **arguments)
        self.answers.append((f"{method} {service} {path.split('?')[0]}", answer))
        return answer

    def as_admin(self, method, service, path, **arguments):
        headers = {"Authorization": f"Bearer {self.martlet.admin_key}"} | arguments.pop("headers", {})
        return self.send(method, service, path, headers=headers, **arguments)

    def new_secret(self, name, prefix=""):
        self.keys[name] = prefix + f"canary{uuid.uuid4().hex}"
        return self.keys[name]

    # The entrances.

    def make_keys(self):
        """Keys as people make them: in force, revoked, rotated; and some that never were any."""
        martlet = self.martlet
        source = self.as_admin("POST", "ingestion", "/v1/sources", json={"name": "canaries"}).json()["sourceId"]
        made = {}
        for name in ("a write key", "a revoked write key"):
            made[name] = self.as_admin("POST", "ingestion", f"/v1/sources/{source}/write-keys").json()
            self.keys[name] = made[name]["writeKey"]
        revoked = made["a revoked write key"]["writeKeyId"]
        assert self.as_admin("DELETE", "ingestion", f"/v1/sources/{source}/write-keys/{revoked}").status_code == 204
        for name in ("an API key", "a revoked API key", "a rotated API key"):
            self.keys[name] = martlet.martlet(
                "keys", "create", "--name", name, "--scope", "segments:read").strip().splitlines()[-1]
        listed = {line.split()[0]: line for line in martlet.martlet("keys", "list").splitlines() if line.strip()}
        ids = {name: next(id for id, line in listed.items() if f" {name} " in line)
               for name in ("a revoked API key", "a rotated API key")}
        martlet.martlet("keys", "revoke", ids["a revoked API key"])
        self.keys["the successor of a rotated API key"] = martlet.martlet(
            "keys", "rotate", ids["a rotated API key"], "--overlap", "1h").strip().splitlines()[-1]
        self.new_secret("a mistyped write key", "wk_")
        self.new_secret("a mistyped API key", "mk_")
        return source

    def collect(self):
        """Every way to collect, with the key in every place, as every kind of key, well and badly."""
        for kind in ("a write key", "a revoked write key", "a mistyped write key", "an API key"):
            key, person = self.keys[kind], self.person()
            basic = {"auth": (key, "")}
            for operation in operations("ingestion"):
                if not operation.takes_write_key:
                    continue
                event = person.event()
                if operation.path.rsplit("/", 1)[1] in ("batch", "b", "import"):
                    # A key within an item is one that an SDK has put there.
                    event = {"batch": [event | {"type": "track"}, event | {"type": "track", "writeKey": key}]}
                if operation.method == "get":
                    data = base64.b64encode(json.dumps(event | {"writeKey": key}).encode()).decode()
                    query = {
                        "data": data, "writeKey": key, "anonymousId": person.device, "event": person.note,
                        "properties.note": person.note}
                    self.send("GET", "ingestion", operation.path, params=query)
                    continue
                self.send("POST", "ingestion", operation.path, json=event, **basic)
                self.send("POST", "ingestion", operation.path, json=event | {"writeKey": key})
                self.send("POST", "ingestion", operation.path, json=event, params={"writeKey": key})
                self.send("POST", "ingestion", operation.path, json=event, headers={"Authorization": f"Bearer {key}"})
            self.send("GET", "ingestion", f"/v1/projects/{key}/settings")
            self.send("GET", "ingestion", f"/v1/martlet.js?writeKey={key}")
            self.misshapen(person, key)

    def misshapen(self, person, key):
        basic = {"auth": (key, ""), "headers": {"Content-Type": "application/json"}}
        whole = json.dumps(person.event() | {"writeKey": key})
        for body in [
            whole[:-1], whole + whole, whole.replace('"userId"', '"userId'), whole.replace('"note"', '"no\\u0000te"'),
            whole.replace('"writeKey"', '"write\\u004bey"'), whole.replace("{", '{"writeKey": "%s", ' % key, 1),
            json.dumps([whole]), json.dumps(whole), json.dumps({"batch": whole}), json.dumps({"batch": [whole, [whole]]}),
            # Nobody's, nothing's, at no time: what goes to quarantine.
            json.dumps(person.event(userId=None, anonymousId=None, writeKey=key)),
            json.dumps(person.event(event=None, writeKey=key)), json.dumps(person.event(event=[key], writeKey=[key])),
            json.dumps(person.event(timestamp=person.note, writeKey={"key": key})),
            json.dumps({"batch": [person.event(type="track", event=7, writeKey=key)], "writeKey": key}),
            json.dumps({"batch": [person.event(type=person.note, writeKey=key)], "context": {"note": person.note}}),
            whole.replace(person.note, person.note * 5000),
        ]:
            self.send("POST", "ingestion", "/v1/track", data=body.encode(), **basic)
            self.send("POST", "ingestion", "/v1/track?strict=true", data=body.encode(), **basic)
            self.send("POST", "ingestion", "/v1/batch", data=body.encode(), **basic)
        self.send("POST", "ingestion", "/v1/track", data=(whole + " " * (11 << 20)).encode(), **basic)
        self.send("DELETE", "ingestion", "/v1/track", data=whole.encode(), **basic)
        packed = {"Content-Type": "application/json", "Content-Encoding": "gzip"}
        self.send("POST", "ingestion", "/v1/track", data=gzip.compress(whole.encode()), headers=packed, auth=(key, ""))
        self.send("POST", "ingestion", "/v1/track", data=whole.encode(), headers=packed, auth=(key, ""))
        self.send("POST", "ingestion", "/v1/track", data=whole.encode(), auth=(key, ""),
                  headers={"Content-Type": f"application/{person.note}"})

    def webhooks(self, source):
        """Signed well, signed badly, not signed; with the secret in the header, the query and the path."""
        person = self.person()
        examples = REPOSITORY / "deploy" / "examples" / "webhooks"
        for provider in ("cloudevents", "stripe", "shopify", "hubspot", "zendesk"):
            secret, wrong = self.new_secret(f"the secret of {provider}"), self.new_secret(f"a wrong secret of {provider}")
            mapping = (examples / f"{provider}.yaml").read_text()
            made = self.as_admin("POST", "ingestion", "/v1/webhooks", json={
                "name": provider, "sourceId": source, "mappingYAML": mapping, "secrets": [secret]})
            assert made.status_code == 201, made.text
            # Mistakes in what makes one.
            for fields in ({"secrets": secret}, {"secrets": [secret, 7]}, {"secrets": [secret * 100]},
                           {"secret": secret}, {"secrets": {"secret": secret}}, [secret], secret):
                self.as_admin("PUT", "ingestion", f"/v1/webhooks/{made.json()['webhookId']}", json=fields)
            path = made.json()["path"]
            event = {
                "specversion": "1.0", "id": person.note, "source": person.page,
                "type": "com.example.customer.updated", "datacontenttype": "application/json",
                "data": {"id": person.user_id, "email": person.email, "name": person.name}}
            body = json.dumps(event).encode()
            for each in (secret, wrong):
                signed = hmac.new(each.encode(), body, hashlib.sha256)
                for headers in [
                    {"Authorization": f"Bearer {each}"}, {"Stripe-Signature": f"t={int(time.time())},v1={signed.hexdigest()}"},
                    {"X-Shopify-Hmac-Sha256": base64.b64encode(signed.digest()).decode()},
                    {"Authorization": f"Basic {base64.b64encode(each.encode()).decode()}"}, {},
                ]:
                    kind = {"Content-Type": "application/cloudevents+json"}
                    self.send("POST", "ingestion", path, data=body, headers=headers | kind)
                    self.send("POST", "ingestion", path, data=body[:-1], headers=headers | kind)
                self.send("POST", "ingestion", f"{path}?access_token={each}", data=body, headers={
                    "Content-Type": "application/cloudevents+json"})
                self.send("POST", "ingestion", f"{path}/{each}", data=body)

    def ask(self):
        """Every endpoint of every service, with keys that are none and bodies that are wrong, about a person."""
        person = self.person()
        self.names.add(person.name)
        self.send("POST", "ingestion", "/v1/identify", json=person.event(), auth=(self.keys["a write key"], ""))
        self.martlet.drain()
        found = self.as_admin(
            "POST", "identity", "/v1/profiles/lookup", json={"type": "email", "value": person.email}).json()
        profile = found["profileId"]
        body = {
            "type": "email", "value": person.email, "items": [{"address": person.email, "sku": person.note}],
            "subject": {"identifier": {"type": "email", "value": person.email}}, "purpose": person.note,
            "action": person.note, "source": person.note, "textVersion": person.note, "identifiers": [
                {"type": "email", "value": person.email}, {"type": "userId", "value": person.user_id}],
            "address": person.email, "name": person.name, "rule": {person.note: person.email}, person.note: person.email}
        for operation in operations():
            if operation.takes_write_key:
                continue
            path = operation.path.replace("{stream}", "events").replace("{shard}", "0")
            named = re.sub(r"\{[^}]*\}", profile, path)
            spoken = re.sub(r"\{[^}]*\}", person.email, path)
            for key in ("a mistyped API key", "a revoked API key", "an API key", "a write key"):
                self.send(operation.method.upper(), operation.service, spoken, json=body,
                          headers={"Authorization": f"Bearer {self.keys[key]}"})
            for where in (named, spoken):
                self.as_admin(operation.method.upper(), operation.service, where, json=body)
                self.as_admin(operation.method.upper(), operation.service, where, data=json.dumps(body)[:-1],
                              headers={"Content-Type": "application/json"})
            query = {"cursor": person.note, "profileId": person.email, "email": person.email, "from": person.note,
                     "after": person.note, "wait": "0", "access_token": self.keys["an API key"],
                     "apiKey": self.keys["the admin key"]}
            if operation.method == "get":
                self.as_admin("GET", operation.service, spoken, params=query)
        # What isn't HTTP as it should be.
        for service in SERVICES:
            self.send(person.note, service, f"/{person.email}")
            self.as_admin("GET", service, f"/v1/{person.email}/{self.keys['an API key']}")

    def live(self, mailbox):
        """Somebody's life: consent, a mail that fails and a mail that comes, an access and an erasure."""
        person = self.person()
        martlet = self.martlet
        key = {"auth": (self.keys["a write key"], "")}
        martlet.call("PUT", "segmentation", "/v1/segments/noted", expect=201, json={
            "rule": {"count": {"event": "Order Completed", "atLeast": 1}}})
        for name, mistake in {"noted": "", "broken": "{{ profile.traits.firstName | divided_by: 0 }}"}.items():
            martlet.call("PUT", "delivery", f"/v1/templates/{name}", expect=201, json={
                "subject": "{{ profile.traits.firstName }}", "text": "{{ profile.traits.address.street }}",
                "html": f"<html><body><p>{{{{ profile.traits.phone }}}} {mistake}</p></body></html>"})
        martlet.call("PUT", "journeys", "/v1/journeys/noted", expect=201, headers={"Content-Type": "application/yaml"},
                     data="name: Noted\nstatus: active\nentry: {segment: noted, reentry: always}\nsteps:\n"
                          "  - send: {template: broken, channel: email, purpose: transactional}\n"
                          "  - send: {template: noted, channel: email, purpose: transactional}\n")
        mailbox.refuse = f"451 4.7.1 <{person.email}> {person.name}: later"
        self.send("POST", "ingestion", "/v1/identify", json=person.event(), **key)
        martlet.drain()
        self.as_admin("POST", "consent", "/v1/consents", json={
            "subject": {"identifier": {"type": "email", "value": person.email}}, "purpose": "transactional",
            "action": "grant", "source": "form", "textVersion": "1"})
        self.send("POST", "ingestion", "/v1/track", **key, json=person.event(
            event="Order Completed", properties={
                "order_id": person.note, "total": person.name, "currency": person.street, "email": person.email}))
        wait_for(lambda: mailbox.refused > 0, "an attempt to deliver", within=30)
        mailbox.refuse = f"550 5.1.1 <{person.email}> {person.name}: nobody of that name"
        martlet.advance("2h")
        mailbox.refuse = None
        self.as_admin("PUT", "delivery", "/v1/suppressions", json={"items": [{"address": person.email}]})
        self.as_admin("POST", "delivery", "/v1/suppressions/lookup", json={"address": person.email})
        profile = self.as_admin("POST", "identity", "/v1/profiles/lookup", json={
            "type": "email", "value": person.email}).json()["profileId"]
        for kind in ("access", "erasure"):
            self.as_admin("POST", "consent", "/v1/privacy-requests", json={
                "type": kind, "subject": {"profileId": profile},
                "verifiedBy": {"method": "passport", "note": f"{person.name} {person.note}"}})
            martlet.drain()
        # A service asks for the profile of two who were strangers, which joins them.
        joined = self.person()
        for known_by in ({"userId": joined.user_id}, {"anonymousId": joined.device}):
            self.send("POST", "ingestion", "/v1/track", **key, json={
                "messageId": str(uuid.uuid4()), "event": "Noted", **known_by})
        martlet.drain()
        self.as_admin("POST", "identity", "/v1/profiles/resolve", json={"identifiers": [
            {"type": "userId", "value": joined.user_id}, {"type": "anonymousId", "value": joined.device},
            {"type": "email", "value": joined.email}]})
        martlet.drain()
        # Times and numbers that no column holds, and a key of one event that another person uses.
        other = self.person()
        self.names.add(other.email)
        for value in ("9999-12-31T23:59:59.999Z", "-1", person.note):
            self.send("POST", "ingestion", "/v1/track", json=other.event(
                userId=person.user_id, timestamp=value, messageId=other.email), **key)
        martlet.drain()

    def slowly(self):
        """While something holds the tables that events go to: PostgreSQL logs what takes long."""
        person = self.person()
        for service, tables in {
            "ingestion": "ingestion.stream_events", "identity": "profiles.timeline, profiles.identifier, profiles.trait",
        }.items():
            with psycopg.connect(self.martlet.postgres.url("martlet")) as connection:
                connection.execute(f"LOCK TABLE {tables}")
                sender = threading.Thread(target=lambda: self.send(
                    "POST", "ingestion", "/v1/identify", json=person.event(), auth=(self.keys["a write key"], "")))
                sender.start()
                wait_for(lambda: self.martlet.value(
                    """SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND usename = %s
                       AND clock_timestamp() - query_start > interval '2.2 s'""", f"martlet_{service}"),
                    f"a slow statement of {service}", within=30)
            sender.join(60)
            self.martlet.drain()

    def without_a_database(self):
        """Everything again while PostgreSQL is away, killed in the middle."""
        person = self.person()
        key = {"auth": (self.keys["a write key"], "")}
        self.send("POST", "ingestion", "/v1/identify", json=person.event(), **key)
        self.martlet.postgres.kill()
        try:
            for _ in range(3):
                answer = self.send("POST", "ingestion", "/v1/identify", json=person.event(), **key)
                assert answer.status_code == 503
                self.as_admin("POST", "identity", "/v1/profiles/lookup", json={"type": "email", "value": person.email})
                self.as_admin("POST", "delivery", "/v1/suppressions/lookup", json={"address": person.email})
        finally:
            self.martlet.postgres.start()
        for service in SERVICES:
            self.martlet.wait_for_ready(service)
        self.send("POST", "ingestion", "/v1/identify", json=person.event(), **key)
        self.martlet.drain()


@pytest.fixture(scope="module")
def mailbox():
    server = Mailbox(password=SMTP_PASSWORD).start()
    yield server
    server.stop()


@pytest.fixture(scope="module")
def traffic(mailbox):
    """An installation that has heard everything."""
    watch = Watch()
    watch.start()
    host = mailbox.url.removeprefix("smtp://")
    installation = Installation("canaries", environment={
        "MARTLET_SMTP_URL": f"smtp://martlet:{SMTP_PASSWORD}@{host}", "MARTLET_LOG_LEVEL": "trace"})
    try:
        installation.start()
        traffic = Traffic(installation)
        source = traffic.make_keys()
        traffic.collect()
        traffic.webhooks(source)
        traffic.ask()
        traffic.live(mailbox)
        traffic.slowly()
        traffic.without_a_database()
        traffic.command_lines = watch.seen
        yield traffic
    finally:
        watch.stop()
        installation.remove()


def forms(secret):
    """A secret, and the ways in which it may be written without being any less one."""
    raw = secret.encode()
    return {
        raw, raw.hex().encode(), base64.b64encode(raw).rstrip(b"="), base64.urlsafe_b64encode(raw).rstrip(b"="),
        # As the user of Basic authentication.
        base64.b64encode(raw + b":").rstrip(b"=")}


def found_in(text, what):
    return [name for name, secret in what.items() if any(form in text for form in forms(secret))]


def logs(martlet):
    """All that was written by whatever ran."""
    return [*(martlet.directory / "logs").glob("*"), martlet.directory / "up.log",
            martlet.postgres.data / "server.log"]


def personal(traffic):
    return {f"{name} ({number})": value for number, person in enumerate(traffic.people)
            for name, value in person.canaries.items()}


def test_the_traffic_was_what_it_was_meant_to_be(traffic, mailbox):
    statuses = {answer.status_code for _, answer in traffic.answers}
    assert {200, 201, 204, 400, 401, 403, 404, 405, 413, 415, 503} <= statuses, statuses
    assert 500 not in statuses, [(what, answer.text) for what, answer in traffic.answers if answer.status_code == 500]
    martlet = traffic.martlet
    assert martlet.value("SELECT count(*) FROM ingestion.quarantine") > 5
    assert mailbox.refused > 1
    assert mailbox.logins > 0, "the password of the mail server was never needed"
    assert "duration:" in (martlet.postgres.data / "server.log").read_text(), "no statement was slow"
    print(f"{len(traffic.answers)} requests, {len(traffic.keys)} keys, {len(personal(traffic))} personal canaries")


def test_no_output_holds_a_key_or_anything_personal(traffic):
    planted = traffic.keys | personal(traffic)
    wrong = []
    for log in logs(traffic.martlet):
        for number, line in enumerate(log.read_bytes().split(b"\n"), 1):
            names = found_in(line, planted)
            if names:
                wrong.append(f"{log.name}:{number}: {', '.join(names)}: {line[:300].decode(errors='replace')}")
    for service in SERVICES:
        metrics = traffic.martlet.call("GET", service, "/metrics", key=None).content
        wrong += [f"/metrics of {service}: {name}" for name in found_in(metrics, planted)]
    assert wrong == [], f"{len(wrong)} leaks:\n" + "\n".join(wrong[:20])


def test_no_command_line_holds_a_key_or_anything_personal(traffic):
    planted = traffic.keys | personal(traffic)
    lines = b"\n".join(traffic.command_lines)
    assert b"martlet-ingestion" in lines and b"postgres" in lines
    assert found_in(lines, planted) == []


def test_no_answer_holds_a_key_but_the_one_that_makes_it(traffic):
    wrong = []
    for what, answer in traffic.answers:
        if answer.status_code == 201 and what.endswith("/write-keys"):
            continue
        # Segment's browser SDK expects the public key that it asks with in the settings.
        if answer.status_code == 200 and what.endswith("/settings"):
            continue
        text = answer.content + str(answer.headers).encode()
        wrong += [f"{what}: {answer.status_code}: {name}: {text[:300]!r}" for name in found_in(text, traffic.keys)]
    assert wrong == [], f"{len(wrong)} leaks:\n" + "\n".join(wrong[:20])


def test_a_problem_says_nothing_about_anybody_else(traffic):
    """What is refused may quote what was sent, and nothing of another person's."""
    everybody = personal(traffic)
    wrong = []
    for what, answer in traffic.answers:
        if answer.status_code < 400:
            continue
        sent = answer.request.url.encode() + b" " + (
            answer.request.body if isinstance(answer.request.body, bytes) else (answer.request.body or "").encode())
        mine = {name.rsplit("(", 1)[1] for name, value in everybody.items() if value.encode() in sent}
        wrong += [f"{what}: {answer.status_code}: {name}" for name in found_in(answer.content, everybody)
                  if name.rsplit("(", 1)[1] not in mine and mine]
    assert wrong == [], f"{len(wrong)} leaks:\n" + "\n".join(wrong[:20])


def test_no_table_holds_a_key(traffic):
    martlet = traffic.martlet
    place, password = martlet.postgres.url("postgres"), martlet.secret("postgres/password")
    dump = subprocess.run(
        ["pg_dumpall", "--dbname", place.replace(f":{password}@", "@"), "--no-password"], capture_output=True,
        env=os.environ | {"PGPASSWORD": password})
    assert dump.returncode == 0, dump.stderr.decode()
    assert b"Noted" in dump.stdout, "the dump lacks what it should hold"
    # A secret of an installation is as little at home in the database as one of a customer.
    wrong = []
    for line in dump.stdout.split(b"\n"):
        wrong += [f"{name}: {line[:400].decode(errors='replace')}" for name in found_in(line, traffic.keys)]
    assert wrong == [], f"{len(wrong)} leaks:\n" + "\n".join(wrong[:20])


# Names that senders give to messages, events, pages, accounts and orders stand as they are, and are none of people: who
# puts somebody's address into one has it there. Notes are planted as such names; as messageIds, a page and one e-mail.
NAMES = {
    "profiles.timeline.name", "profiles.account.group_id", "profiles.account_trait.group_id",
    "profiles.account_member.group_id", "segmentation.account.group_id", "segmentation.account_trait.group_id",
    "segmentation.account_trait.name", "segmentation.account_member.group_id", "segmentation.account_change.group_id",
    "ingestion.quarantine.event", "ingestion.recent_item.event",
    "ingestion.webhook_delivery.replay_key", "profiles.trait.name", "recommendation.shop_order.order_key",
}
NAMES_OF_MESSAGES = {"message_id", "trigger_key"}


def is_name(place, planted):
    if place.rsplit(".", 1)[1] in NAMES_OF_MESSAGES or place == "profiles.merge.cause":
        return planted.startswith(("somebody's note", "somebody's email", "somebody's page"))
    # What operators call their sources is theirs.
    if place == "ingestion.source.name":
        return planted.startswith("somebody's name")
    return place in NAMES and planted.startswith("somebody's note")


def test_no_table_holds_anything_personal(traffic):
    """Every column of every table, as text; of bytes that is their hexadecimal form."""
    martlet = traffic.martlet
    planted = personal(traffic)
    wrong, rows = {}, 0
    for schema, table in martlet.sql(
            """SELECT n.nspname, c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
               WHERE c.relkind IN ('r', 'p', 'm') AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
               ORDER BY 1, 2"""):
        for (row,) in martlet.sql(f'SELECT to_jsonb(t) FROM {schema}."{table}" t'):
            rows += 1
            for column, value in row.items():
                place = f"{schema}.{table}.{column}"
                for name in found_in(json.dumps(value, ensure_ascii=False).encode(), planted):
                    if not is_name(place, name):
                        wrong.setdefault(place, set()).add(name)
    assert rows > 500
    assert wrong == {}, "\n".join(f"{place}: {', '.join(sorted(names)[:5])}" for place, names in wrong.items())


def test_what_is_sealed_is_what_was_sent(traffic):
    """It is there, and opens with the keys of the installation, by another implementation."""
    opener = Opener(traffic.martlet)
    raw = "\n".join(json.dumps(body) for _, body in opener.stream("ingestion.stream_events", "ingestion"))
    told = "\n".join(body for _, body, _ in opener.timeline())
    known = {value for value, _ in opener.identifiers("email")}
    people = [person for person in traffic.people if person.email in raw]
    assert people, "nothing of anybody is in the raw log"
    assert any(person.name in told for person in people)
    assert any(person.email in known for person in people)


def found_in_files(martlet, what):
    """What lies in which file of the database, in whatever form: tables, indexes, what was deleted there, and the WAL."""
    martlet.sql("CHECKPOINT")
    named = {form: name for name, secret in what.items() for form in forms(secret)}
    # Hundreds of texts at once in some hundred megabytes.
    search = subprocess.run(
        ["grep", "--recursive", "--text", "--only-matching", "--fixed-strings", "--file=-", "."],
        cwd=martlet.postgres.data, input=b"\n".join(named), capture_output=True, env={"LC_ALL": "C"})
    # A file of the WAL may have gone since it was listed.
    lost = [line for line in search.stderr.splitlines() if b"No such file" not in line]
    assert search.returncode in (0, 1) or not lost, search.stderr.decode()
    relations = dict(martlet.sql(
        "SELECT pg_relation_filepath(oid), oid::regclass::text FROM pg_class WHERE pg_relation_filepath(oid) IS NOT NULL"))
    found = set()
    for line in search.stdout.splitlines():
        path, _, text = line.partition(b":")
        path = path.decode().removeprefix("./")
        found.add((relations.get(re.sub(r"(_(fsm|vm|init))?(\.\d+)?$", "", path), path), named[text]))
    return found


def test_no_file_of_the_database_holds_a_key(traffic):
    """Nor what was deleted, or is on its way in the WAL."""
    assert found_in_files(traffic.martlet, traffic.keys) == set()


def test_no_file_of_the_database_holds_anything_personal(traffic):
    """Nor what was deleted, or is on its way in the WAL; but for what senders call messages and events, and operators
    their sources."""
    planted = {name: value for name, value in personal(traffic).items() if value not in traffic.names}
    found = found_in_files(traffic.martlet, planted)
    names = {(place, name) for place, name in found if name.startswith(("somebody's note", "somebody's page"))}
    assert any(place == "profiles.timeline" for place, _ in names), "the search found not even the name of an event"
    assert any(place.startswith("pg_wal/") for place, _ in names), "the search found nothing in the WAL"
    assert found - names == set(), "\n".join(f"{place}: {name}" for place, name in sorted(found - names)[:40])
