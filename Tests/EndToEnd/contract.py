"""The OpenAPI files, and one shopper who has been through everything, so that every path has something to show."""

import functools
import re
import uuid
from dataclasses import dataclass
from pathlib import Path

import yaml

import load
from installation import REPOSITORY, SERVICES, wait_for

# The paths of the tracking API, which take a write key.
COLLECTING = (
    r"/v1/(identify|track|page|screen|group|alias|batch|import|i|t|p|s|g|a|b)|/beacon/v1/batch"
    r"|/v1/pixel/[a-z]+|/pixel/v1/[a-z]+")
METHODS = ["get", "put", "post", "delete", "patch"]


def contract_file(service):
    return REPOSITORY / "openapi" / f"{service}.yaml"


@functools.cache
def contract(service):
    return yaml.safe_load(Path(contract_file(service)).read_text())


@dataclass
class Operation:
    """One method of one path."""

    service: str
    method: str
    path: str
    definition: dict

    @property
    def takes_body(self):
        return "requestBody" in self.definition

    @property
    def media_types(self):
        return list(self.definition.get("requestBody", {}).get("content", {}))

    @property
    def is_endless(self):
        """Whether the answer goes on for as long as anybody reads."""
        return any("text/event-stream" in answer.get("content", {})
                   for answer in self.definition["responses"].values())

    @property
    def is_open(self):
        """Whether anybody may call it."""
        return self.definition.get("security") == [] or {} in self.definition.get("security", [])

    @property
    def takes_write_key(self):
        return self.service == "ingestion" and bool(
            re.fullmatch(COLLECTING, self.path))

    def __str__(self):
        return f"{self.method.upper()} {self.service}{self.path}"


def operations(service=None):
    """Every operation of the contracts."""
    found = []
    for name in [service] if service else SERVICES:
        for path, item in contract(name)["paths"].items():
            for method in METHODS:
                if method in item:
                    found.append(Operation(name, method, path, item[method]))
    return found


def put_somebody_through(martlet, mailbox):
    """One shopper who orders and gets a mail; returns what may stand in the braces of a path."""
    load.define(martlet)
    martlet.call("PUT", "segmentation", "/v1/scores/load-orders", expect=(200, 201), json={
        "events": [{"event": "Order Completed", "weight": 5, "perDay": 2, "cap": "7.5"}], "halfLife": "7d"})
    martlet.call("PUT", "segmentation", "/v1/computed-traits/load-value", expect=(200, 201), json={"rfm": {}})
    martlet.call("PUT", "segmentation", "/v1/stages", expect=200, json={"stages": [
        {"id": "load-ordered", "rule": {"count": {"event": "Order Completed"}}}]})
    shopper = uuid.uuid4().hex[:12]
    martlet.collect("identify", {
        "userId": f"load-{shopper}", "traits": {"email": load.address(shopper), "firstName": "Ada"}})
    martlet.collect("track", {
        "userId": f"load-{shopper}", "event": "Order Completed",
        "properties": {"order_id": shopper, "total": "12.50", "currency": "EUR",
                       "products": [{"sku": "A-1", "name": "A", "quantity": 1, "price": "12.50"}]}})
    martlet.call("PUT", "recommendation", "/v1/catalog/items", expect=200, json={"items": [
        {"sku": "A-1", "name": "A", "price": "12.50", "currency": "EUR"},
        {"sku": "B-2", "name": "B", "price": "2.50", "currency": "EUR"}]})
    martlet.drain()
    mail = wait_for(lambda: mailbox.to(load.address(shopper)), "the mail of the shopper")[0]
    profile = martlet.call(
        "POST", "identity", "/v1/profiles/lookup", json={"type": "email", "value": load.address(shopper)},
        expect=200)["profileId"]
    request = martlet.call(
        "POST", "consent", "/v1/privacy-requests", json={
            "type": "access", "subject": {"profileId": profile}, "verifiedBy": {"method": "signed in"}},
        expect=(200, 201, 202))
    instance = martlet.items("journeys", "/v1/journeys/load-thanks/instances")[0]
    source = martlet.items("ingestion", "/v1/sources")[0]["sourceId"]
    return {
        "/v1/profiles/{": profile,
        "/v1/scorecard/{": profile,
        "/v1/messages/{": mail.id,
        "/v1/instances/{": instance["id"],
        "/v1/segments/{": "load-buyers",
        "/v1/scores/{": "load-orders",
        "/v1/computed-traits/{": "load-value",
        "/v1/rfm-models/{": put_a_model_through(martlet, "/v1/rfm-models", {}),
        "/v1/percentile-models/{": put_a_model_through(
            martlet, "/v1/percentile-models", {"measure": {"count": {"event": "Order Completed"}}}),
        "/v1/journeys/{": "load-thanks",
        "/v1/templates/{": "load-thanks",
        "/v1/purposes/{": "transactional",
        "/v1/catalog/items/{": "A-1",
        "/v1/privacy-requests/{": request["id"],
        "/v1/sources/{": source,
        "/v1/imports/{": put_a_file_through(martlet, source, shopper),
        "/v1/streams/{": {
            "ingestion": "events", "identity": "profile-events", "consent": "consents",
            "segmentation": "memberships", "journeys": "intents"},
    }


def put_a_model_through(martlet, path, body):
    """An edition of a model of a population; returns its id."""
    made = martlet.call("POST", "segmentation", path, expect=202, json={"model": "load", **body})
    path = f"{path}/{made['modelId']}"
    wait_for(lambda: martlet.get("segmentation", path)["status"] == "done", "the edition of the model")
    return made["modelId"]


def put_a_file_through(martlet, source, shopper):
    """An import with a mapping, a mistake and something that is skipped; returns its id."""
    made = martlet.call("POST", "ingestion", "/v1/imports", expect=201, json={
        "name": "orders", "sourceId": source, "format": "csv",
        "mapping": {
            "mapping": "contract", "columns": {"id": "text", "count": "integer",
                                               "at": {"type": "time", "format": "rfc3339"}},
            "skip": [{"reason": "none", "when": [{"column": "count", "is": 0}]}],
            "events": [{"id": "count", "type": "track", "event": "Counted", "user-id": "load-{id}",
                        "timestamp": "at"}]}})["importId"]
    rows = [f"{shopper},{count},2026-01-01T00:00:00Z" for count in ("1", "0", "x")]
    martlet.call("PUT", "ingestion", f"/v1/imports/{made}/file?offset=0", expect=200,
                 data="\n".join(["id,count,at", *rows]), headers={"Content-Type": "text/csv"})
    martlet.call("POST", "ingestion", f"/v1/imports/{made}/preview", expect=200)
    martlet.call("POST", "ingestion", f"/v1/imports/{made}/run", expect=200)
    wait_for(lambda: martlet.get("ingestion", f"/v1/imports/{made}")["state"] == "done", "the import to end")
    return made
