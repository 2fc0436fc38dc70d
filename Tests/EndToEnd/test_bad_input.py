"""Malformed input is refused with a problem, crashes nothing, stops no stream, and loses nothing accepted."""

import json
import re
import uuid
import zlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from contract import contract, operations
from installation import REPOSITORY, SERVICES, wait_for

MEGABYTE = 1 << 20

# Bodies that are no JSON, or JSON that nobody should have to take.
MALFORMED = {
    "nothing": b"",
    "white space": b" \n\t ",
    "half an object": b'{"a": ',
    "a trailing comma in an object": b'{"userId": "u", "event": "E",}',
    "a trailing comma in a list": b'{"batch": [1, 2,]}',
    "single quotes": b"{'a': 1}",
    "a comment": b'{"a": 1 /* one */}',
    "a number too large": b'{"a": 1e999}',
    "a number with a leading zero": b'{"a": 01}',
    "not a number": b'{"a": NaN}',
    "infinity": b'{"a": Infinity}',
    "invalid UTF-8": b'{"a": "\xff\xfe"}',
    "an overlong encoding": b'{"a": "\xc0\xaf"}',
    "a bare control character": b'{"a": "\x01"}',
    "a raw NUL": b'{"a": "\x00"}',
    "something after the end": b'{"a": 1} {"b": 2}',
    "depth 10,000 of lists": b'{"a": ' + b"[" * 10_000 + b"]" * 10_000 + b"}",
    "depth 10,000 of objects": b'{"a":' * 10_000 + b"1" + b"}" * 10_000,
    "depth 100,000 without an end": b"[" * 100_000,
    "UTF-16": '{"a": 1}'.encode("utf-16"),
    "a byte order mark": b'\xef\xbb\xbf{"a": }',
}
# Bodies that are JSON, of another shape than any endpoint asks for.
MISSHAPEN = {
    "null": b"null",
    "a list": b"[]",
    "a text": b'"text"',
    "a number": b"42",
    "true": b"true",
    "escaped NUL": b'{"\\u0000": "\\u0000"}',
    "a lone surrogate": b'{"a": "\\ud800"}',
    "a lone low surrogate as a key": b'{"\\udc00": 1}',
    "members of the wrong type": json.dumps({
        name: [[]] for name in [
            "items", "batch", "rule", "type", "value", "subject", "identifiers", "name", "legalBasis", "html", "text",
            "purpose", "action", "entry", "steps", "address", "userId", "event", "writeKey"]}).encode(),
    "huge numbers": json.dumps({
        name: 10 ** 300 for name in ["items", "batch", "rule", "version", "type", "value", "name"]}).encode(),
    "ten megabytes": b'{"a": "' + b"x" * (10 * MEGABYTE) + b'"}',
    "ten megabytes of members": b"{" + b",".join(b'"%d":0' % number for number in range(900_000)) + b"}",
}
BODIES = {**MALFORMED, **MISSHAPEN}

# What may stand in the braces of a path or in a query, and names nothing.
STRANGE = [
    "%00", "%ff", "..%2f..%2fetc%2fpasswd", "'%20OR%201=1--", "%F0%9F%90%A6", "x" * 600, "-1",
    "99999999999999999999", "null", "%0d%0aSet-Cookie:%20a=b", "{}", "%",
]


@pytest.fixture(scope="module")
def running(martlet):
    """The installation, with the processes it started with."""
    pids = {service: martlet.pid(service) for service in SERVICES}
    yield martlet
    assert {service: martlet.pid(service) for service in SERVICES} == pids, "a service was started again"


@pytest.fixture(autouse=True)
def still_alive(running):
    """After each test every service is the process it was, and a good event still gets through."""
    pids = {service: running.pid(service) for service in SERVICES}
    yield
    assert {service: running.pid(service) for service in SERVICES} == pids, "a service died"
    for service in SERVICES:
        assert running.call("GET", service, "/readyz", key=None).status_code == 200
    good_event_arrives(running)


def good_event_arrives(martlet):
    """One event from collecting to the timeline."""
    message = f"good-{uuid.uuid4()}"
    answer = martlet.collect("track", {"messageId": message, "anonymousId": message, "event": "Still Here"})
    assert answer["accepted"] == 1
    wait_for(
        lambda: martlet.value("SELECT count(*) FROM profiles.timeline WHERE message_id = %s", message) == 1,
        "a good event to reach the timeline", within=30)


def verdict(answer, operation, what):
    """What is wrong with an answer to malformed input; None when nothing is."""
    kind = answer.headers.get("content-type", "")
    if 400 <= answer.status_code < 500:
        # People's own pages answer people.
        if operation.path.startswith(("/preferences/", "/opt-in/", "/privacy-choices")) and kind.startswith("text/html"):
            return None if "<html lang=" in answer.text else f"{operation} with {what}: no page"
        if not kind.startswith("application/problem+json"):
            return f"{operation} with {what}: {answer.status_code} as {kind!r}"
        problem = answer.json()
        missing = {"type", "title", "status"} - set(problem)
        if missing or problem["status"] != answer.status_code:
            return f"{operation} with {what}: a problem without {missing or 'its own status'}"
        return None
    if answer.status_code == 200 and operation.takes_write_key and "items" in answer.json():
        return None
    # Of lines each has a verdict of its own, and these are all refused.
    if answer.status_code == 200 and what.endswith("as application/x-ndjson"):
        items = answer.json()["items"]
        if items and all("refused" in (item.get("status"), item.get("verdict")) for item in items):
            return None
    return f"{operation} with {what}: {answer.status_code} {answer.text[:200]}"


def send(martlet, operation, path, body=None, media_type=None, key="admin"):
    headers = {"Content-Type": media_type} if media_type else {}
    if operation.takes_write_key:
        return martlet.http.request(
            operation.method, martlet.url(operation.service) + path, data=body, headers=headers, timeout=120,
            auth=(martlet.write_key, ""), allow_redirects=False)
    return martlet.call(
        operation.method.upper(), operation.service, path, key=key, data=body, headers=headers, timeout=120)


def some_path(operation):
    path = operation.path.replace("{stream}", "events").replace("{shard}", "0")
    return re.sub(r"\{[^}]*\}", "01890000-0000-7000-8000-000000000000", path)


@pytest.mark.parametrize("service", SERVICES)
def test_every_endpoint_refuses_malformed_bodies(running, service):
    taking = [operation for operation in operations(service) if operation.takes_body]
    wrong = []
    for operation in taking:
        for media_type in operation.media_types:
            if "json" not in media_type and "yaml" not in media_type:
                continue
            for what, body in BODIES.items():
                answer = send(running, operation, some_path(operation), body, media_type)
                wrong.append(verdict(answer, operation, f"{what} as {media_type}"))
    assert taking, f"{service} takes no body at all?"
    assert [each for each in wrong if each] == []


@pytest.mark.parametrize("service", SERVICES)
def test_every_endpoint_refuses_other_kinds_of_bodies(running, service):
    wrong = []
    for operation in operations(service):
        if not operation.takes_body or operation.path.startswith("/t/"):
            continue
        for media_type, body in [
            ("application/xml", b"<a/>"), ("multipart/form-data; boundary=x", b"--x--"), ("image/png", b"\x89PNG"),
            ("application/octet-stream", bytes(range(256))),
        ]:
            answer = send(running, operation, some_path(operation), body, media_type)
            wrong.append(verdict(answer, operation, media_type))
    assert [each for each in wrong if each] == []


@pytest.mark.parametrize("service", SERVICES)
def test_every_path_and_query_takes_strange_texts(running, service):
    wrong = []
    for operation in operations(service):
        parameters = re.findall(r"\{([^}]*)\}", operation.path)
        for strange in STRANGE:
            if parameters:
                path = re.sub(r"\{[^}]*\}", lambda _: strange, operation.path)
                body = b"{}" if operation.takes_body else None
                media_type = operation.media_types[0] if operation.media_types else None
                answer = send(running, operation, path, body, media_type)
                if answer.status_code >= 500:
                    wrong.append(f"{operation} with {strange[:40]!r}: {answer.status_code}")
                elif answer.status_code >= 400:
                    wrong.append(verdict(answer, operation, strange[:40]))
        if operation.method != "get":
            continue
        for parameter in operation.definition.get("parameters", []):
            name = resolve(service, parameter)
            for strange in STRANGE if name else []:
                answer = running.call("GET", service, f"{some_path(operation)}?{name}={strange}")
                if answer.status_code >= 500:
                    wrong.append(f"{operation}?{name}={strange[:40]}: {answer.status_code}")
    assert [each for each in wrong if each] == []


def resolve(service, parameter):
    """The name of a query parameter; None for one that is elsewhere, or that would make the answer wait."""
    if "$ref" in parameter:
        parameter = contract(service)["components"]["parameters"][parameter["$ref"].rsplit("/", 1)[1]]
    return parameter["name"] if parameter["in"] == "query" and parameter["name"] != "wait" else None


@pytest.mark.parametrize("service", SERVICES)
def test_what_is_not_there_is_a_problem_too(running, service):
    for method, path, status in [
        ("GET", "/", 404), ("GET", "/v1/nothing-of-the-kind", 404), ("POST", "/livez", 405),
        ("DELETE", "/openapi.yaml", 405), ("PATCH", "/metrics", 405),
    ]:
        answer = running.call(method, service, path)
        assert answer.status_code == status, (method, path, answer.status_code)
        assert answer.headers["content-type"].startswith("application/problem+json")


# Batches: one bad item, and the good ones around it.

BAD_ITEMS = {
    "an escaped NUL": rb'{"type":"track","userId":"u","event":"E","properties":{"a":"\u0000"}}',
    "a lone surrogate": rb'{"type":"track","userId":"u","event":"E","properties":{"a":"\ud800"}}',
    "depth 10,000": b'{"type":"track","userId":"u","event":"E","properties":{"a":' + b"[" * 10_000 + b"]" * 10_000
    + b"}}",
    "the year 294277": b'{"type":"track","userId":"u","event":"E","timestamp":"+294277-01-01T00:00:00Z"}',
    "the year 294277 without a sign": b'{"type":"track","userId":"u","event":"E","timestamp":"294277-01-01T00:00:00Z"}',
    "the year 1": b'{"type":"track","userId":"u","event":"E","timestamp":"0001-01-01T00:00:00Z"}',
    "no type": b'{"userId":"u","event":"E"}',
    "an unknown type": b'{"type":"levitate","userId":"u"}',
    "nobody": b'{"type":"track","event":"E"}',
    "no name": b'{"type":"track","userId":"u"}',
    "a name that is a number": b'{"type":"track","userId":"u","event":42}',
    "properties that are a list": b'{"type":"track","userId":"u","event":"E","properties":[]}',
    "null": b"null",
    "a text": b'"text"',
    "a number": b"17",
    "a list": b"[]",
    "an empty object": b"{}",
    "a number too large": b'{"type":"track","userId":"u","event":"E","properties":{"a":1e999}}',
    "a userId of a megabyte": b'{"type":"track","userId":"' + b"u" * 100_000 + b'","event":"E"}',
}
# No call at all, or too large to be kept.
NOT_KEPT = {"null", "a text", "a number", "a list", "a userId of a megabyte"}
# Odd, and yet what RFC 8259 and the tracking API allow.
ODD_ITEMS = {
    "duplicate keys": b'{"type":"track","userId":"u","event":"E","event":"Odd"}',
    "an unknown member": b'{"type":"track","userId":"u","event":"Odd","levitate":true}',
    "an emoji": '{"type":"track","userId":"u","event":"Odd 🐦"}'.encode(),
    "escaped surrogates that pair": rb'{"type":"track","userId":"u","event":"Odd \ud83d\udc26"}',
    "a number with a large exponent": b'{"type":"track","userId":"u","event":"Odd","properties":{"a":1e300}}',
    "an integer beyond 64 bits": b'{"type":"track","userId":"u","event":"Odd","properties":{"a":18446744073709551616}}',
    "empty texts": b'{"type":"track","userId":"u","event":"Odd","properties":{"":""}}',
    "the first day of time": b'{"type":"track","userId":"u","event":"Odd","timestamp":"1970-01-01T00:00:00Z"}',
}


@pytest.mark.parametrize("what", BAD_ITEMS)
def test_a_batch_with_one_bad_item_keeps_the_good_ones(running, what):
    answer, before, after = batch_around(running, BAD_ITEMS[what])
    assert answer.status_code == 200, f"{answer.status_code} {answer.text[:300]}"
    body = answer.json()
    verdict = "refused" if what in NOT_KEPT else "quarantined"
    assert [item["status"] for item in body["items"]] == ["accepted", verdict, "accepted"], body
    assert body["items"][1]["reason"]
    assert body["received"] == 3 and body["accepted"] == 2 and body[verdict] == 1
    assert running.get("ingestion", "/v1/reconciliation")["balanced"]
    wait_for(
        lambda: running.value(
            "SELECT count(*) FROM profiles.timeline WHERE message_id IN (%s, %s)", before, after) == 2,
        "the good ones to arrive")


@pytest.mark.parametrize("what", ODD_ITEMS)
def test_what_is_odd_and_allowed_passes_through(running, what):
    answer, before, after = batch_around(running, ODD_ITEMS[what])
    assert answer.status_code == 200, f"{answer.status_code} {answer.text[:300]}"
    assert [item["status"] for item in answer.json()["items"]] == ["accepted"] * 3, answer.text
    wait_for(
        lambda: running.value(
            "SELECT count(*) FROM profiles.timeline WHERE message_id IN (%s, %s)", before, after) == 2,
        "what came with it to arrive")
    running.drain()
    assert running.quarantined() == []


def batch_around(martlet, item):
    """Sends an item between two good ones."""
    before, after = f"before-{uuid.uuid4()}", f"after-{uuid.uuid4()}"
    good = '{"type":"track","messageId":"%s","anonymousId":"a","event":"Good"}'
    body = b'{"batch":[' + (good % before).encode() + b"," + item + b"," + (good % after).encode() + b"]}"
    answer = martlet.http.post(
        martlet.url("ingestion") + "/v1/batch", data=body, headers={"Content-Type": "application/json"}, timeout=60,
        auth=(martlet.write_key, ""))
    return answer, before, after


def test_a_text_that_postgresql_cannot_hold_stops_no_stream(running):
    """Each place of an event in turn holds what jsonb or text would refuse, or nobody expects."""
    strange = [
        "'; DROP TABLE profiles.timeline; --", "\\", "\\u0000", "\u2028\u2029", "\ufeff", "\u202e", "💥" * 100, "{{ x }}",
        "{% for i in (1..1000000000) %}x{% endfor %}", "%00", "\x7f", "\u0001",
    ]
    events = []
    for text in strange:
        events.append({"type": "identify", "userId": f"s-{text}", "traits": {"email": f"{text}@x", text: text}})
        events.append({"type": "track", "anonymousId": f"a-{text}", "event": text, "properties": {text: {text: [text]}}})
        events.append({"type": "group", "userId": f"s-{text}", "groupId": text, "traits": {"name": text}})
        events.append({"type": "alias", "userId": f"s-{text}", "previousId": f"p-{text}"})
        for name in ["Order Completed", "Product Added", "Product Viewed", "Consent Granted", "Unsubscribed",
                     "Order Refunded", "Email Opened"]:
            events.append({"type": "track", "userId": f"s-{text}", "event": name, "properties": {
                "order_id": text, "sku": text, "product_id": text, "purpose": text, "source": text, "total": text,
                "products": [{"sku": text, "quantity": text, "price": text}, text, None, [text]]}})
    for odd in [None, 0, -1, 1e300, True, [], {}, [[]], "", "NaN", "-", 10 ** 30]:
        for name in ["Order Completed", "Product Added", "Product Viewed", "Consent Granted", "Unsubscribed"]:
            events.append({"type": "track", "userId": "odd", "event": name, "properties": {
                "order_id": odd, "sku": odd, "product_id": odd, "purpose": odd, "total": odd, "products": odd}})
        events.append({"type": "identify", "userId": "odd", "traits": {"email": odd, "phone": odd}})
        events.append({"type": "alias", "userId": "odd", "previousId": odd})
    answer = running.http.post(
        running.url("ingestion") + "/v1/batch", json={"batch": events}, auth=(running.write_key, ""), timeout=60)
    assert answer.status_code == 200, answer.text[:500]
    body = answer.json()
    assert body["received"] == len(events) == sum(
        body[verdict] for verdict in ["accepted", "duplicate", "quarantined", "refused"])
    running.drain()
    assert running.quarantined() == []


def test_times_at_the_ends_of_the_calendar_stop_nothing(running):
    for timestamp in ["0001-01-01T00:00:00Z", "9999-12-31T23:59:59.999Z", "1970-01-01T00:00:00Z",
                      "2016-12-31T23:59:60Z", "9999-12-31T23:59:59-23:59", "0001-01-01T00:00:00+23:59"]:
        for sent_at in [None, "0001-01-01T00:00:00Z", "9999-12-31T23:59:59.999Z"]:
            body = {"batch": [{"type": "track", "userId": "calendar", "event": name, "timestamp": timestamp}
                              for name in ["Product Added", "Order Completed", "Product Viewed"]]}
            if sent_at:
                body["sentAt"] = sent_at
            answer = running.http.post(
                running.url("ingestion") + "/v1/batch", json=body, auth=(running.write_key, ""), timeout=60)
            assert answer.status_code == 200, (timestamp, sent_at, answer.text[:300])
    running.drain()
    running.advance("2h")
    assert running.quarantined() == []


# Files with a mistake.

def test_a_journey_with_a_mistake_is_refused_with_line_and_what_was_expected(running):
    journey = """\
name: Broken
entry:
  event: Product Added
steps:
  - send:
      template: something
      chanel: email
      purpose: marketing
  - wait: {for: soon}
"""
    answer = running.call(
        "PUT", "journeys", "/v1/journeys/broken", data=journey, headers={"Content-Type": "application/yaml"})
    assert answer.status_code in (400, 422), answer.text
    errors = answer.json()["errors"]
    assert {7, 9} <= {error["line"] for error in errors}, errors
    assert all(error["expected"] for error in errors)
    assert running.call("GET", "journeys", "/v1/journeys/broken").status_code == 404


@pytest.mark.parametrize("text, line", [
    ("name: [unclosed\nentry: {", 2), ("name: a\n\tentry: tab", 2), ("a: &a [*a]\n", 1), ("name: x\nname: y\n", 2),
    ("&a [" + "*a," * 3 + "]", 1), ("!!python/object:os.system x", 1),
])
def test_a_journey_that_is_no_yaml_is_refused_with_its_line(running, text, line):
    answer = running.call(
        "PUT", "journeys", "/v1/journeys/broken", data=text, headers={"Content-Type": "application/yaml"})
    assert answer.status_code in (400, 422), answer.text
    assert answer.json()["errors"][0]["line"] <= line


def test_a_yaml_bomb_is_refused(running):
    bomb = "a: &a [x,x,x,x,x,x,x,x,x]\n" + "".join(
        f"{chr(98 + level)}: &{chr(98 + level)} [{','.join(['*' + chr(97 + level)] * 9)}]\n" for level in range(9))
    answer = running.call(
        "PUT", "journeys", "/v1/journeys/bomb", data=bomb, headers={"Content-Type": "application/yaml"})
    assert answer.status_code in (400, 413, 422), answer.text[:300]


@pytest.mark.parametrize("coding, bits", [("gzip", 31), ("deflate", 15)])
def test_a_bomb_of_a_packed_body_is_refused_without_growing_memory(running, coding, bits):
    """Twenty bodies that would take 400 MB each, five at a time."""
    packer = zlib.compressobj(9, zlib.DEFLATED, bits)
    bomb = b"".join([packer.compress(b" " * (20 * MEGABYTE)) for _ in range(20)] + [packer.flush()])
    assert len(bomb) < 500_000
    process = f"/proc/{running.pid('ingestion')}"

    def most():
        return int(re.search(r"VmHWM:\s*(\d+)", Path(f"{process}/status").read_text()).group(1)) / 1024

    def send(_):
        return running.http.post(
            running.url("ingestion") + "/v1/batch", data=bomb, timeout=60, auth=(running.write_key, ""),
            headers={"Content-Type": "application/json", "Content-Encoding": coding}).status_code

    # From here on the most that it took counts anew (proc(5), clear_refs).
    Path(f"{process}/clear_refs").write_text("5")
    before = most()
    with ThreadPoolExecutor(5) as threads:
        assert set(threads.map(send, range(20))) == {413}
    assert most() - before < 50


def test_a_segment_with_a_mistake_is_refused_with_line_and_what_was_expected(running):
    rule = """{
  "rule": {
    "count": {
      "event": "Product Viewed",
      "atLeest": 3,
      "within": "two days"
    }
  }
}"""
    answer = running.call(
        "PUT", "segmentation", "/v1/segments/broken", data=rule, headers={"Content-Type": "application/json"})
    assert answer.status_code in (400, 422), answer.text
    errors = answer.json()["errors"]
    assert errors and all(error["expected"] for error in errors)
    assert any(error.get("line") in (5, 6) for error in errors), errors
    assert running.call("GET", "segmentation", "/v1/segments/broken").status_code == 404


def test_a_template_with_a_mistake_is_refused_with_line_and_what_was_expected(running):
    answer = running.call("PUT", "delivery", "/v1/templates/broken", json={
        "subject": "Hello", "text": "Hello", "html": "<p>\n{% if profile.traits.vip %}\nnever closed\n{{ a | }}</p>"})
    assert answer.status_code in (400, 422), answer.text
    errors = answer.json()["errors"]
    assert errors[0]["part"] == "html" and errors[0]["line"] >= 2 and errors[0]["expected"]
    assert running.call("GET", "delivery", "/v1/templates/broken").status_code == 404


def test_a_mapping_with_a_mistake_is_refused_with_file_line_and_what_was_expected(running, tmp_path):
    good = (REPOSITORY / "deploy" / "examples" / "mappings" / "online-retail.yaml").read_text()
    mapping, file = tmp_path / "mapping.yaml", tmp_path / "orders.csv"
    file.write_text("Invoice,StockCode,Description,Quantity,InvoiceDate,Price,Customer ID,Country\n")
    for mistake, replacement in [
        ("  Quantity: integer", "  Quantity: whole"), ("group-by: Invoice", "group-by: Nothing"),
        ("    type: track", "    type: levitate"), ("  currency: GBP\n", "  currency: GBP\n  colour: red\n"),
    ]:
        assert mistake in good
        mapping.write_text(good.replace(mistake, replacement, 1))
        before = good[:good.index(mistake)].count("\n") + 1
        said = running.martlet("import", file, "--mapping", mapping, expect=None)
        assert "mapping.yaml" in said and "expected" in said, said
        lines = [int(number) for number in re.findall(r"mapping\.yaml:(\d+)", said)]
        assert any(before <= line <= before + replacement.count("\n") for line in lines), (before, said)


def test_a_slow_sender_holds_nothing_up(running):
    """A request that never ends is one connection, not a stopped service."""
    import socket

    trickles = []
    for service in SERVICES:
        port = int(running.url(service).rsplit(":", 1)[1])
        for _ in range(20):
            trickle = socket.create_connection(("127.0.0.1", port), timeout=10)
            trickle.sendall(b"POST /v1/batch HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n{")
            trickles.append(trickle)
    try:
        for service in SERVICES:
            assert running.call("GET", service, "/readyz", key=None, timeout=10).status_code == 200
    finally:
        for trickle in trickles:
            trickle.close()


def test_what_is_no_http_at_all_is_answered_or_dropped(running):
    import socket

    for service in SERVICES:
        port = int(running.url(service).rsplit(":", 1)[1])
        for noise in [b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(100), b"GET\r\n\r\n", bytes(10_000),
                      b"GET / HTTP/1.1\r\n" + b"x: y\r\n" * 20_000 + b"\r\n",
                      b"GET /" + b"a" * 200_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n"]:
            with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
                connection.settimeout(10)
                try:
                    connection.sendall(noise)
                    connection.shutdown(socket.SHUT_WR)
                    answer = connection.recv(100)
                except OSError:
                    continue
                assert not answer or answer.startswith(b"HTTP/1.1 4"), (service, answer)
