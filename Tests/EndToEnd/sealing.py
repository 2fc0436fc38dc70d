"""Opens what lies sealed in the database, by the keys of an installation: written apart from the services, so that the
form is what it is said to be (AES-GCM with a nonce of 96 bits before and the tag behind; HKDF is not needed here).
"""

import base64
import json
from decimal import Decimal

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from packed_state import unpacked


# Where values are sealed, beside the bodies of streams: the place of each column, out of the other columns of its row,
# and the service whose keys of days it is under where it is not the profile's.
PLACES = {
    "profiles.trait": {"value": ("profiles.trait.value {profile_id} {name}", None)},
    "profiles.timeline": {"body": ("profiles.timeline {shard} {offset}", None)},
    "profiles.membership": {"evidence": ("profiles.membership.evidence {profile_id} {segment}", "segmentation")},
    "profiles.stage": {"evidence": ("profiles.stage.evidence {profile_id}", "segmentation")},
    "segmentation.profile_state": {"state": ("segmentation.profile_state.state {profile_id}", "segmentation")},
    "journeys.profile": {"memory": ("journeys.profile.memory {profile_id}", "journeys")},
    "journeys.instance": {"state": ("journeys.instance.state {instance_id}", "journeys")},
    "journeys.instance_history": {
        "cause": ("journeys.instance_history.cause {history_id}", "journeys"),
        "detail": ("journeys.instance_history.detail {history_id}", "journeys")},
    "consent.ledger_subject": {"evidence": ("consent.ledger_subject.evidence {entry_id}", "consent")},
    "delivery.message": {
        field: ("delivery.message." + field + " {message_id} ", "delivery")
        for field in ("variables", "subject", "evidence")},
}


class Opener:
    """Keys of one installation, read as they are needed."""

    def __init__(self, installation):
        self.installation = installation
        words = installation.secret("key-encryption-keys").split()
        self.ring = {word.split(":")[0]: bytes.fromhex(word.split(":")[1]) for word in words}
        self.days, self.profiles = {}, {}

    def open_bytes(self, key, sealed, place):
        try:
            return AESGCM(key).decrypt(sealed[:12], sealed[12:], place.encode())
        except InvalidTag:
            raise AssertionError(f"{place} does not open") from None

    def day(self, schema, number):
        if (schema, number) not in self.days:
            for day, kek, wrapped in self.installation.sql(f"SELECT day, kek_id, wrapped FROM {schema}.day_key"):
                self.days[schema, day] = self.open_bytes(self.ring[kek], bytes(wrapped), f"day_key {schema} {day}")
        return self.days[schema, number]

    def profile(self, profile):
        if profile not in self.profiles:
            for found, kek, wrapped in self.installation.sql(
                    "SELECT profile_id::text, kek_id, wrapped FROM profiles.data_key"):
                self.profiles[found] = self.open_bytes(
                    self.ring[kek], bytes(wrapped), f"profiles.data_key {found}")
        return self.profiles[profile]

    def text(self, text, place, schema=None, profile=None):
        """What a column of text says."""
        if not text.startswith("~"):
            return text
        name, _, sealed = text[1:].partition(".")
        key = self.profile(profile) if name == "p" else self.day(schema, int(name[1:]))
        opened = self.open_bytes(key, base64.b64decode(sealed), place)
        # A packed state begins with its form.
        return json.dumps(unpacked(opened), ensure_ascii=False) if opened[:1] == b"\x02" else opened.decode()

    def row(self, table, row):
        """A row, as `to_jsonb` gives it, with what is sealed in it opened."""
        row = dict(row)
        if table == "profiles.identifier":
            digest = base64.b64encode(bytes.fromhex(row["value_hash"].removeprefix("\\x"))).decode()
            place = f"profiles.identifier.value {row['profile_id']} {row['type']} {digest}"
            return row | {"value": self.text(row["value"], place, profile=row["profile_id"])}
        places = PLACES.get(table, {})
        if table.endswith(".idempotency_key"):
            places = {"body": ("idempotency_key.body {caller} {key}", table.split(".")[0])}
        for column, (place, schema) in places.items():
            if isinstance(row[column], str):
                row[column] = self.text(row[column], place.format(**row), schema, row["profile_id"])
        if table == "delivery.message":
            row["links"] = {
                key: self.text(value, f"delivery.message.link {row['message_id']} {key}", "delivery")
                for key, value in row["links"].items()}
        return row

    def stream(self, table, schema):
        """(key, body) of each record of a stream that is sealed by the day."""
        rows = self.installation.sql(
            f"""SELECT shard, key, (extract(epoch FROM recorded_at) * 1000)::bigint, body FROM {table}
                ORDER BY shard, "offset" """)
        for shard, key, at, body in rows:
            yield key, json.loads(self.text(body, f"{table} {shard} {key} {at}", schema))

    def timeline(self, where="true"):
        """(name, body, canonical profile) of each entry."""
        rows = self.installation.sql(
            f"""SELECT t.name, t.shard, t."offset", t.profile_id::text, t.body, p.canonical_id::text
                FROM profiles.timeline t JOIN profiles.profile p ON p.profile_id = t.profile_id WHERE {where}""")
        for name, shard, offset, profile, body, canonical in rows:
            yield name, self.text(body, f"profiles.timeline {shard} {offset}", profile=profile), canonical

    def events(self):
        """The event at each place of the timeline that has one, by shard and offset."""
        rows = self.installation.sql(
            """SELECT shard, "offset", profile_id::text, body FROM profiles.timeline WHERE message_id IS NOT NULL""")
        return {
            (shard, offset): json.loads(
                self.text(body, f"profiles.timeline {shard} {offset}", profile=profile), parse_float=Decimal)["event"]
            for shard, offset, profile, body in rows}

    def identifiers(self, kind):
        """(value, canonical profile) of each identifier of a kind."""
        rows = self.installation.sql(
            """SELECT i.value, i.value_hash, i.profile_id::text, p.canonical_id::text FROM profiles.identifier i
               JOIN profiles.profile p ON p.profile_id = i.profile_id WHERE i.type = %s""", kind)
        for value, digest, profile, canonical in rows:
            place = f"profiles.identifier.value {profile} {kind} {base64.b64encode(bytes(digest)).decode()}"
            yield self.text(value, place, profile=profile), canonical
