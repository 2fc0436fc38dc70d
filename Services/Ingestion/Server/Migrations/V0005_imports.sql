-- Files that are taken in as events: how each is to be read, how far it has come, and what became of its rows.
CREATE TABLE import (
    import_id uuid PRIMARY KEY,
    source_id uuid NOT NULL REFERENCES source,
    name text NOT NULL,
    format text NOT NULL,
    -- JSON, whatever it was written in; NULL where each line is a call as it is.
    mapping text,
    -- One more with every change of the mapping.
    version integer NOT NULL DEFAULT 1,
    -- What its maker says that the file has, so that half a file is not taken for a whole one.
    expected_bytes bigint,
    shift_to_now boolean NOT NULL DEFAULT false,
    -- By how much all times move: worked out once, so that every event of the file is shifted alike.
    shift_ms bigint,
    state text NOT NULL CHECK (state IN ('draft', 'running', 'paused', 'done', 'failed', 'cancelled')),
    -- Why it is failed or cancelled.
    failure text,
    created_at timestamptz NOT NULL,
    -- When somebody last did something about it.
    touched_at timestamptz NOT NULL,
    started_at timestamptz,
    ended_at timestamptz,
    -- Bytes of the file that are stored, also when they are gone after the end; and that are read.
    stored_bytes bigint NOT NULL DEFAULT 0,
    read_bytes bigint NOT NULL DEFAULT 0,
    has_file boolean NOT NULL DEFAULT true,
    -- The checkpoint: the groups of the file that are done with, in the run of this number.
    run integer NOT NULL DEFAULT 0,
    groups bigint NOT NULL DEFAULT 0,
    active_ms bigint NOT NULL DEFAULT 0,
    rows_imported bigint NOT NULL DEFAULT 0,
    rows_skipped bigint NOT NULL DEFAULT 0,
    rows_refused bigint NOT NULL DEFAULT 0,
    received bigint NOT NULL DEFAULT 0,
    accepted bigint NOT NULL DEFAULT 0,
    duplicate bigint NOT NULL DEFAULT 0,
    quarantined bigint NOT NULL DEFAULT 0,
    refused bigint NOT NULL DEFAULT 0,
    problems bigint NOT NULL DEFAULT 0,
    -- The request that made it, so that it is made once.
    idempotency_key text COLLATE "C" UNIQUE,
    request_digest bytea,
    CHECK (received = accepted + duplicate + quarantined + refused)
) WITH (fillfactor = 50);
CREATE INDEX import_running ON import (import_id) WHERE state = 'running';
-- For pruning.
CREATE INDEX import_file ON import (touched_at) WHERE has_file;

-- The file as it came, sealed under a key that is not in the database, until the import ends. The shard is that of the
-- import.
CREATE TABLE import_chunk (
    shard smallint NOT NULL,
    import_id uuid NOT NULL,
    "offset" bigint NOT NULL,
    size integer NOT NULL,
    data bytea NOT NULL,
    PRIMARY KEY (shard, import_id, "offset")
);
-- It is sealed, and what is sealed does not get smaller.
ALTER TABLE import_chunk ALTER COLUMN data SET STORAGE EXTERNAL;

-- The first mistakes, without the values that were mistaken.
CREATE TABLE import_problem (
    shard smallint NOT NULL,
    import_id uuid NOT NULL,
    number bigint NOT NULL,
    line bigint NOT NULL,
    -- row, quarantined or refused.
    kind text NOT NULL,
    reason text NOT NULL,
    PRIMARY KEY (shard, import_id, number)
);

-- Groups and rows that the mapping skips, by reason.
CREATE TABLE import_skip (
    import_id uuid NOT NULL REFERENCES import ON DELETE CASCADE,
    reason text NOT NULL,
    groups bigint NOT NULL,
    rows bigint NOT NULL,
    PRIMARY KEY (import_id, reason)
);
