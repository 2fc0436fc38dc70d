"""What becomes of profiles reaches whoever wants to know, signed so that the library of Standard Webhooks takes it, in
the order in which it became so, and although identity is killed on the way."""

import json
import random
import ssl
import subprocess
import threading
from collections import defaultdict
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from standardwebhooks.webhooks import Webhook, WebhookVerificationError

from installation import SEED, wait_for, wait_for_a_moment

EXAMPLES = False
SETTINGS = {"MARTLET_WEBHOOK_ALLOW_HTTP": "true", "MARTLET_WEBHOOK_ALLOWED_NETWORKS": "127.0.0.0/8, ::1"}
PEOPLE, CHANGES, KILLS = 20, 8, 4


class Receiver:
    """A server that keeps what it gets, and of some events says the first time that it can't take them."""

    def __init__(self, chance=None):
        self.received, self.lock, self.refused = [], threading.Lock(), set()
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                with receiver.lock:
                    event = self.headers["webhook-id"]
                    is_refused = chance and event not in receiver.refused and chance.random() < 0.04
                    receiver.refused.add(event)
                    status = 500 if is_refused else 204
                    headers = {name.lower(): value for name, value in self.headers.items()}
                    receiver.received.append((status, headers, body))
                self.send_response(status)
                self.end_headers()

            def log_message(self, *_):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/hooks"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def taken(self):
        with self.lock:
            return [(headers, body) for status, headers, body in self.received if status == 204]


def make(martlet, **members):
    return martlet.call("POST", "identity", "/v1/webhook-endpoints", json=members, expect=201)


def test_a_library_takes_the_signature_and_refuses_what_was_altered(martlet):
    receiver = Receiver()
    endpoint = make(martlet, url=receiver.url)
    path = f"/v1/webhook-endpoints/{endpoint['endpointId']}"
    martlet.call("POST", "identity", f"{path}/test", expect=202)
    wait_for(receiver.taken, "the test event", within=30)
    headers, body = receiver.taken()[0]
    headers = {name.lower(): value for name, value in headers.items()}
    assert Webhook(endpoint["secret"]).verify(body, headers)["type"] == "webhook.test"
    with pytest.raises(WebhookVerificationError):
        Webhook(endpoint["secret"]).verify(body.replace(b"test", b"tset"), headers)
    with pytest.raises(WebhookVerificationError):
        Webhook(endpoint["secret"]).verify(body, headers | {"webhook-id": "another"})

    rotated = martlet.call("POST", "identity", f"{path}/rotate-secret", expect=200)
    martlet.call("POST", "identity", f"{path}/test", expect=202)
    wait_for(lambda: len(receiver.taken()) == 2, "the second test event", within=30)
    headers, body = receiver.taken()[1]
    headers = {name.lower(): value for name, value in headers.items()}
    for secret in [endpoint["secret"], rotated["secret"]]:
        Webhook(secret).verify(body, headers)
    martlet.call("DELETE", "identity", path, expect=204)


def test_everything_arrives_in_order_although_identity_is_killed(martlet):
    martlet.take_over()
    chance = random.Random(SEED)
    receiver = Receiver(chance)
    endpoint = make(martlet, url=receiver.url, eventTypes=["profile.updated"], includeTraits=True)
    make(martlet, url="http://127.0.0.1:1/nobody-there")
    kill_after = set(chance.sample(range(1, CHANGES), KILLS))
    for change in range(CHANGES):
        for person in range(PEOPLE):
            martlet.collect("identify", {"userId": f"hooked-{person}", "traits": {f"change{change}": change}})
        if change in kill_after:
            wait_for_a_moment(chance.uniform(0.1, 0.6))
            martlet.processes["identity"].kill()
            martlet.processes["identity"].wait()
            martlet.start_service("identity")
    martlet.wait_for_ready("identity")
    martlet.drain()
    path = f"/v1/webhook-endpoints/{endpoint['endpointId']}"
    wait_for(
        lambda: martlet.get("identity", path)["health"]["pending"] == 0, "an empty queue", within=180, every=0.5)
    verify = Webhook(endpoint["secret"]).verify
    orders, ids = defaultdict(list), set()
    for headers, body in receiver.taken():
        event = verify(body, headers)
        if headers["webhook-id"] in ids:
            continue
        ids.add(headers["webhook-id"])
        orders[event["data"]["profileId"]] += [int(name[6:]) for name in event["data"]["changedTraits"]]
        assert all(name in event["data"]["traits"] for name in event["data"]["changedTraits"])
    assert len(orders) == PEOPLE
    for order in orders.values():
        # The first change may have made the profile.
        assert order in [list(range(1, CHANGES)), list(range(CHANGES))], order
    # One line for the endpoint: what was queued first came first, whoever it was about.
    arrivals = list(dict.fromkeys(headers["webhook-id"] for headers, _ in receiver.taken()))
    queued, cursor = {}, ""
    while cursor is not None:
        page = martlet.get("identity", f"{path}/deliveries?limit=200{cursor}")
        queued |= {item["deliveryId"]: item["queuedAt"] for item in page["items"]}
        cursor = page["nextCursor"] and f"&cursor={page['nextCursor']}"
    instants = [queued[arrival] for arrival in arrivals]
    assert instants == sorted(instants)
    repeated = len(receiver.taken()) - len(ids)
    print(f"seed {SEED}: {len(ids)} events, {repeated} of them more than once, {KILLS} kills")
    failed = martlet.get("identity", path + "/deliveries?state=failed")
    assert failed["items"] == []


def test_tls_asks_for_the_name_and_takes_no_certificate_of_somebody_else(martlet, tmp_path):
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2",
         "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost", "-keyout", tmp_path / "key",
         "-out", tmp_path / "certificate"], check=True, capture_output=True)
    context, names = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), []
    context.load_cert_chain(tmp_path / "certificate", tmp_path / "key")
    context.sni_callback = lambda _, name, __: names.append(name)
    receiver = Receiver()
    receiver.server.socket = context.wrap_socket(receiver.server.socket, server_side=True)
    url = receiver.url.replace("http://127.0.0.1", "https://localhost")
    path = f"/v1/webhook-endpoints/{make(martlet, url=url)['endpointId']}"
    delivery = martlet.call("POST", "identity", f"{path}/test", expect=202)["deliveryId"]

    def attempts():
        return martlet.get("identity", f"{path}/deliveries/{delivery}")["attempts"]

    wait_for(attempts, "an attempt", within=30)
    assert attempts()[0]["failure"] == "unreachable"
    assert set(names) == {"localhost"}
    assert receiver.received == []
    martlet.call("DELETE", "identity", path, expect=204)


def test_nothing_inside_can_be_called_that_the_operator_has_not_named(martlet):
    for url in ["http://169.254.169.254/latest/meta-data/", "http://10.0.0.1/", "http://[::ffff:127.0.0.1]/",
                "http://[64:ff9b::7f00:1]/", "http://localhost./", "http://2130706433/"]:
        answer = martlet.call("POST", "identity", "/v1/webhook-endpoints", json={"url": url})
        assert answer.status_code == 400, url
        assert json.loads(answer.text)["type"].endswith("webhook-url")
