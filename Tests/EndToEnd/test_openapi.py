"""Every contract is valid, is what the service serves, and is kept: no 5xx, no answer outside its schema.

MARTLET_SCHEMATHESIS_EXAMPLES (15 unless set) bounds the cases per operation; MARTLET_SEED changes the cases.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from openapi_spec_validator import validate

from contract import COLLECTING, contract, contract_file, operations, put_somebody_through
from installation import SEED, SERVICES

EXAMPLES_EACH = os.environ.get("MARTLET_SCHEMATHESIS_EXAMPLES", "15")
# Schemathesis finds the sources that it made itself, and would watch each of them for ten minutes.
SETTINGS = {"MARTLET_INGESTION_DEBUGGER_LONGEST": "1s"}
CHECKS = "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance"


@pytest.fixture(scope="module")
def known(martlet, mailbox):
    """What may stand in the braces of a path, because it exists."""
    return put_somebody_through(martlet, mailbox)


@pytest.mark.parametrize("service", SERVICES)
def test_the_contract_is_valid(service):
    document = contract(service)
    validate(document)
    assert document["openapi"].startswith("3.1")
    for operation in operations(service):
        assert "operationId" in operation.definition, operation
        assert operation.definition.get("summary"), f"{operation} has no summary"


@pytest.mark.parametrize("service", SERVICES)
def test_the_service_serves_its_contract(martlet, service):
    answer = martlet.call("GET", service, "/openapi.yaml", key=None)
    assert answer.status_code == 200
    assert answer.content == contract_file(service).read_bytes()


@pytest.mark.parametrize("service", SERVICES)
def test_no_answer_is_outside_its_schema(martlet, known, tmp_path, service):
    run(martlet, service, tmp_path, "--max-examples", EXAMPLES_EACH, "--phases", "examples,coverage,fuzzing")


@pytest.mark.parametrize("service", SERVICES)
def test_what_exists_is_shown_within_its_schema(martlet, known, tmp_path, service):
    pinned = []
    for operation in operations(service):
        prefix = next((prefix for prefix in known if operation.path.startswith(prefix)), None)
        if prefix is None or operation.method != "get" or operation.is_endless:
            continue
        value = known[prefix]
        name = operation.path[len(prefix):].split("}")[0]
        pinned.append((operation.path, {name: value[service] if isinstance(value, dict) else value}))
    if not pinned:
        pytest.skip("no path of this service names a single thing")
    options = [option for path, _ in pinned for option in ("--include-path", path)]
    run(martlet, service, tmp_path, "--include-method", "GET", "--max-examples", "5", "--mode", "positive",
        "--phases", "examples,fuzzing", *options, pinned=pinned)


def test_what_the_cases_left_behind_is_digested(martlet, known):
    """Whatever was accepted among the cases has gone through every stream."""
    martlet.drain(within=300)
    assert martlet.quarantined() == []


def run(martlet, service, directory, *options, pinned=()):
    """schemathesis against the live service, with the admin key, and with the write key where events are taken."""
    config = directory / "schemathesis.toml"
    config.write_text(configuration(martlet, pinned))
    command = [
        Path(sys.executable).parent / "schemathesis", "--config-file", config, "run", contract_file(service),
        "--url", martlet.url(service), "--checks", CHECKS, "--seed", str(SEED), "--no-color",
        "--generation-database", "none", "--generation-with-security-parameters", "false",
        "--continue-on-failure", "--suppress-health-check", "all", "--warnings", "off", *options,
    ]
    done = subprocess.run(command, cwd=directory, capture_output=True, text=True, timeout=1200)
    print(f"seed {SEED}\n{done.stdout[-30_000:]}{done.stderr[-5_000:]}")
    assert done.returncode == 0, f"schemathesis found that {service} does not keep its contract (seed {SEED})"
    assert martlet.call("GET", service, "/livez", key=None).status_code == 200


def configuration(martlet, pinned):
    """Settings that hold for some operations only."""
    import base64

    basic = base64.b64encode(f"{martlet.write_key}:".encode()).decode()
    text = f"""\
max-redirects = 0
request-timeout = 60
headers = {{ Authorization = "Bearer {martlet.admin_key}" }}

[[operations]]
include-path-regex = "^({COLLECTING})$"
headers = {{ Authorization = "Basic {basic}" }}

# A long poll that waits for half a minute finds no more than one that does not wait.
[[operations]]
include-path-regex = "^/v1/streams/"
parameters = {{ "query.wait" = 0 }}

# Each form of a rule with each form of an id would be tens of thousands of calls.
[[operations]]
include-path = "/v1/segments/preview"
parameters = {{ "query.segment" = "viewers" }}
"""
    for path, parameters in pinned:
        values = ", ".join(f'"path.{name}" = {json.dumps(value)}' for name, value in parameters.items())
        text += f'\n[[operations]]\ninclude-path = "{path}"\nparameters = {{ {values} }}\n'
    return text
