"""What whoever runs Martlet counts on: starting, stopping, saying what is wrong, and coming back."""

import base64
import json
import os
import re
import signal
import socket
import subprocess
import time
from pathlib import Path

import pytest
import requests

from contract import operations
from installation import EXECUTABLES, REPOSITORY, SERVICES, wait_for

# Real time, for once.
REHEARSAL = False
EXAMPLES = False


def test_only_a_rehearsals_clock_can_be_moved(martlet):
    before = martlet.now()
    said = martlet.martlet("clock", "advance", "24h", expect=None)
    assert "rehearsal" in said
    assert martlet.martlet("clock", "advance", "24h", expect=None) and (martlet.now() - before).total_seconds() < 600
    done = subprocess.run(
        [EXECUTABLES / "martlet", "clock", "advance", "24h", "--directory", martlet.directory], capture_output=True)
    assert done.returncode != 0


def test_a_second_up_on_the_same_directory_is_refused(martlet):
    done = subprocess.run(
        [EXECUTABLES / "martlet", "up", "--directory", martlet.directory, "--bin-directory", EXECUTABLES],
        env=martlet.environment(), cwd=REPOSITORY, capture_output=True, text=True, timeout=30)
    assert done.returncode != 0 and "another" in done.stdout + done.stderr


@pytest.mark.parametrize("setting", ["fsync", "full_page_writes", "synchronous_commit"])
def test_no_service_is_ready_where_commits_can_be_lost(martlet, setting):
    martlet.sql(f"ALTER SYSTEM SET {setting} = off")
    martlet.sql("SELECT pg_reload_conf()")
    try:
        for service in SERVICES:
            def refuses():
                answer = martlet.call("GET", service, "/readyz", key=None)
                return answer.status_code == 503 and answer.json()["detail"]

            # Connections that are open already hear of a reload a moment later.
            assert setting in wait_for(refuses, f"{service} to refuse", within=15)
    finally:
        martlet.sql(f"ALTER SYSTEM RESET {setting}")
        martlet.sql("SELECT pg_reload_conf()")
    for service in SERVICES:
        martlet.wait_for_ready(service)


def test_a_service_whose_port_is_taken_says_so(martlet):
    pid = martlet.pid("identity")
    environment = dict(
        item.split("=", 1) for item in Path(f"/proc/{pid}/environ").read_bytes().decode().split("\0") if "=" in item)
    done = subprocess.run(
        [EXECUTABLES / "martlet-identity", "serve"], env=environment, capture_output=True, text=True, timeout=60)
    assert done.returncode == 1, done.stderr[-2000:]
    assert "Fatal" not in done.stderr and "in use" in done.stderr, done.stderr[-2000:]


@pytest.mark.parametrize("service", SERVICES)
def test_a_service_without_settings_says_what_it_needs(service):
    done = subprocess.run(
        [EXECUTABLES / f"martlet-{service}", "serve"], env={}, capture_output=True, text=True, timeout=60)
    assert done.returncode == 1
    assert "MARTLET_DATABASE_URL" in done.stderr and "Fatal" not in done.stderr, done.stderr[-2000:]
    helped = subprocess.run([EXECUTABLES / f"martlet-{service}", "--help"], env={}, capture_output=True, text=True)
    assert helped.returncode == 0 and "EXAMPLE" in helped.stdout
    unknown = subprocess.run([EXECUTABLES / f"martlet-{service}", "fly"], env={}, capture_output=True, text=True)
    assert unknown.returncode == 64


@pytest.mark.parametrize("service", SERVICES)
def test_metrics_are_what_prometheus_reads(martlet, service):
    text = martlet.call("GET", service, "/metrics", key=None).text
    sample = re.compile(r'^[a-zA-Z_:][a-zA-Z0-9_:]*(\{([a-zA-Z_]\w*="(\\.|[^"\\])*",?)*\})? [-+0-9.eE]+(NaN|Inf)?$')
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    assert lines and [line for line in lines if not sample.match(line)] == []
    assert any(line.startswith("martlet_http_requests_total{") for line in lines)


def test_without_the_database_everything_is_503_and_comes_back_by_itself(martlet):
    pids = {service: martlet.pid(service) for service in SERVICES}
    martlet.postgres.kill()
    try:
        wrong = []
        for operation in operations():
            # What takes a write key is tried with one below: without it the answer may need no database.
            if operation.method != "get" or "{" in operation.path or operation.is_open or operation.takes_write_key:
                continue
            answer = martlet.call("GET", operation.service, operation.path)
            if answer.status_code != 503 or "retry-after" not in answer.headers:
                wrong.append((str(operation), answer.status_code))
        assert wrong == []
        data = base64.b64encode(json.dumps(
            {"writeKey": martlet.write_key, "userId": "u", "event": "Lost?", "messageId": "away-2"}).encode()).decode()
        answer = martlet.http.get(martlet.url("ingestion") + "/v1/pixel/track", params={"data": data}, timeout=60)
        assert answer.status_code == 503 and "retry-after" in answer.headers
        answer = martlet.http.post(
            martlet.url("ingestion") + "/v1/track", json={"userId": "u", "event": "Lost?", "messageId": "away-1"},
            auth=(martlet.write_key, ""), timeout=60)
        assert answer.status_code == 503 and "retry-after" in answer.headers
        assert answer.headers["content-type"].startswith("application/problem+json")
        for service in SERVICES:
            assert martlet.call("GET", service, "/livez", key=None).status_code == 200
            assert martlet.call("GET", service, "/readyz", key=None).status_code == 503
    finally:
        martlet.postgres.start()
    for service in SERVICES:
        martlet.wait_for_ready(service)
    martlet.collect("track", {"userId": "u", "event": "Not lost", "messageId": "away-1"})
    wait_for(
        lambda: martlet.value("SELECT count(*) FROM profiles.timeline WHERE message_id = 'away-1'") == 1,
        "the event that was sent again")
    assert {service: martlet.pid(service) for service in SERVICES} == pids, "a service was started again"


def test_what_died_is_started_again(martlet):
    pid = martlet.pid("consent")
    os.kill(pid, signal.SIGKILL)
    wait_for(lambda: martlet.pid("consent") not in (None, pid), "consent to come back")
    martlet.wait_for_ready("consent")


def test_going_down_and_up_again_is_quick_and_keeps_everything(martlet):
    martlet.collect("track", {"userId": "stays", "event": "Stayed", "messageId": "stays-1"})
    key = martlet.admin_key
    started = time.monotonic()
    martlet.down()
    assert time.monotonic() - started < 30
    for service in SERVICES:
        with pytest.raises((OSError, requests.RequestException)):
            socket.create_connection(("127.0.0.1", int(martlet.url(service).rsplit(":", 1)[1])), timeout=2).close()
    started = time.monotonic()
    martlet.up()
    print(f"up again in {time.monotonic() - started:.1f} s")
    martlet.drain()
    assert martlet.value("SELECT count(*) FROM profiles.timeline WHERE message_id = 'stays-1'") == 1
    assert martlet.call("GET", "identity", "/v1/profiles", key=key).status_code == 200
