-- Who may send: sources, and the public keys that they send under.

CREATE TABLE source (
    source_id uuid PRIMARY KEY,
    name text NOT NULL,
    created_at timestamptz NOT NULL
);

-- What the services of the installation send themselves, such as what became of a mail.
INSERT INTO source (source_id, name, created_at)
VALUES ('00000000-0000-7000-8000-000000000001', 'martlet', '2026-01-01T00:00:00Z');

CREATE TABLE write_key (
    write_key_id uuid PRIMARY KEY,
    source_id uuid NOT NULL REFERENCES source,
    -- SHA-256: the key itself is shown once, when it is made.
    key_hash bytea NOT NULL UNIQUE,
    -- The last characters, so that people can tell keys apart.
    hint text NOT NULL,
    created_at timestamptz NOT NULL,
    revoked_at timestamptz
);
CREATE INDEX write_key_source ON write_key (source_id);

-- The raw event log, and the stream events. The key is the sender's own name for who it was.
CREATE TABLE stream_events (
    shard smallint NOT NULL,
    "offset" bigint NOT NULL,
    key text COLLATE "C" NOT NULL,
    recorded_at timestamptz NOT NULL,
    traceparent text,
    body text NOT NULL,
    PRIMARY KEY (shard, "offset")
);
-- For requests of access and erasure.
CREATE INDEX stream_events_key ON stream_events (shard, key);

-- What was accepted, so that it is accepted once. The shard is that of the message id, not of the event.
CREATE TABLE message_key (
    shard smallint NOT NULL,
    source_id uuid NOT NULL,
    message_id text COLLATE "C" NOT NULL,
    received_at timestamptz NOT NULL,
    PRIMARY KEY (shard, source_id, message_id)
);

-- What became of everything that was received, by the hour: received = accepted + duplicate + refused.
CREATE TABLE reconciliation (
    source_id uuid NOT NULL,
    hour timestamptz NOT NULL,
    received bigint NOT NULL,
    accepted bigint NOT NULL,
    duplicate bigint NOT NULL,
    refused bigint NOT NULL,
    PRIMARY KEY (source_id, hour),
    CHECK (received = accepted + duplicate + refused)
) WITH (fillfactor = 70);

-- The names that somebody who is to be erased went by, told by identity before it forgot them itself.
CREATE TABLE erasure_subject (
    request_id uuid PRIMARY KEY,
    subjects text[] NOT NULL,
    received_at timestamptz NOT NULL
);
