-- Purposes and standing decisions are in the profile store: whoever sends reads them in the transaction that
-- records the send.
CREATE TABLE profiles.purpose (
    purpose text PRIMARY KEY,
    name text NOT NULL,
    legal_basis text NOT NULL CHECK (legal_basis IN ('consent', 'contract', 'legitimateInterest')),
    text_version text NOT NULL,
    version bigint NOT NULL DEFAULT 1,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL
);

INSERT INTO profiles.purpose (purpose, name, legal_basis, text_version, created_at, updated_at) VALUES
    ('marketing', 'Marketing messages', 'consent', '1', now(), now()),
    ('transactional', 'Messages about an order or an account', 'contract', '1', now(), now()),
    ('analytics', 'Analysis of behaviour', 'consent', '1', now(), now());

-- The fold over the ledger, one row per person and purpose, under the canonical profile.
CREATE TABLE profiles.consent_state (
    shard smallint NOT NULL,
    profile_id uuid NOT NULL,
    purpose text NOT NULL,
    state text NOT NULL CHECK (state IN ('granted', 'withdrawn')),
    at timestamptz NOT NULL,
    ledger_entry uuid NOT NULL,
    -- Never written; the right to update it is what lets a reader lock the row.
    lock_tick integer NOT NULL DEFAULT 0,
    PRIMARY KEY (shard, profile_id, purpose)
);

GRANT SELECT, INSERT, UPDATE, DELETE ON profiles.purpose, profiles.consent_state TO martlet_consent;
GRANT SELECT ON profiles.purpose, profiles.consent_state TO martlet_readers;
GRANT UPDATE (lock_tick) ON profiles.consent_state TO martlet_delivery;

-- The end of each shard's chain; locked while entries are appended to it.
CREATE TABLE ledger_head (
    shard smallint PRIMARY KEY,
    position bigint NOT NULL,
    hash bytea NOT NULL
);

-- What is kept for ever. It names nobody: person and evidence are committed to by salted digests.
CREATE TABLE ledger_entry (
    shard smallint NOT NULL,
    position bigint NOT NULL,
    entry_id uuid NOT NULL,
    subject_digest bytea NOT NULL,
    evidence_digest bytea NOT NULL,
    purpose text NOT NULL,
    action text NOT NULL CHECK (action IN ('grant', 'withdraw')),
    source text NOT NULL,
    text_version text,
    occurred_at timestamptz NOT NULL,
    recorded_at timestamptz NOT NULL,
    previous_hash bytea NOT NULL,
    hash bytea NOT NULL,
    PRIMARY KEY (shard, position),
    UNIQUE (shard, entry_id)
);

-- What an erasure destroys. The shard is that of the profile, and so that of the entry.
CREATE TABLE ledger_subject (
    shard smallint NOT NULL,
    entry_id uuid NOT NULL,
    profile_id uuid NOT NULL,
    salt bytea NOT NULL,
    evidence text NOT NULL,
    PRIMARY KEY (shard, entry_id)
);
CREATE INDEX ledger_subject_profile ON ledger_subject (shard, profile_id);

-- Says of each entry without a person that it was erased, and when.
CREATE TABLE ledger_erasure (
    shard smallint NOT NULL,
    entry_id uuid NOT NULL,
    erased_at timestamptz NOT NULL,
    PRIMARY KEY (shard, entry_id)
);

-- Appending is all that the service may do, whatever its code tries.
REVOKE UPDATE, DELETE, TRUNCATE ON ledger_entry, ledger_erasure FROM martlet_consent;
REVOKE UPDATE, TRUNCATE ON ledger_subject FROM martlet_consent;

-- The shard is that of the request's own id; that of the stream is the profile's.
CREATE TABLE privacy_request (
    shard smallint NOT NULL,
    request_id uuid NOT NULL,
    type text NOT NULL CHECK (type IN ('access', 'erasure')),
    profile_id uuid NOT NULL,
    -- Everything that was merged into the profile when the request was made, and itself.
    profile_ids uuid[] NOT NULL,
    status text NOT NULL CHECK (status IN ('pending', 'completed', 'failed')),
    requested_by text NOT NULL,
    requested_at timestamptz NOT NULL,
    completed_at timestamptz,
    PRIMARY KEY (shard, request_id)
);
CREATE INDEX privacy_request_profiles ON privacy_request USING gin (profile_ids);
CREATE INDEX privacy_request_id ON privacy_request (request_id);

CREATE TABLE privacy_result (
    shard smallint NOT NULL,
    request_id uuid NOT NULL,
    service text NOT NULL,
    status text NOT NULL CHECK (status IN ('pending', 'completed', 'failed')),
    result text,
    error text,
    reported_at timestamptz,
    PRIMARY KEY (shard, request_id, service)
);

-- Answers to repeat when a caller sends the same request again under the same Idempotency-Key.
CREATE TABLE idempotency_key (
    shard smallint NOT NULL,
    caller text NOT NULL,
    key text NOT NULL,
    request_digest bytea NOT NULL,
    status integer,
    body text,
    profile_id uuid,
    created_at timestamptz NOT NULL,
    PRIMARY KEY (shard, caller, key)
);
CREATE INDEX idempotency_key_age ON idempotency_key (shard, created_at);
CREATE INDEX idempotency_key_profile ON idempotency_key (profile_id);

CREATE TABLE stream_consents (
    shard smallint NOT NULL,
    "offset" bigint NOT NULL,
    key text NOT NULL,
    recorded_at timestamptz NOT NULL,
    traceparent text,
    body text NOT NULL,
    PRIMARY KEY (shard, "offset")
);

CREATE TABLE stream_privacy_requests (
    shard smallint NOT NULL,
    "offset" bigint NOT NULL,
    key text NOT NULL,
    recorded_at timestamptz NOT NULL,
    traceparent text,
    body text NOT NULL,
    PRIMARY KEY (shard, "offset")
);
