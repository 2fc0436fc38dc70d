-- What was received and can't be accepted as it is, with the bytes that came, until somebody mends what is wrong.
CREATE TABLE quarantine (
    shard smallint NOT NULL,
    quarantine_id uuid NOT NULL,
    source_id uuid NOT NULL,
    received_at timestamptz NOT NULL,
    -- The same bytes sent again are a repetition.
    digest bytea NOT NULL,
    reason text NOT NULL,
    detail text NOT NULL,
    message_id text COLLATE "C",
    event text,
    -- The names that it gives somebody, for requests of erasure.
    subjects text[] NOT NULL,
    -- What was known about the item from around it: its call, sentAt, the context of the batch.
    envelope text NOT NULL,
    -- NULL once the person is erased.
    item bytea,
    traceparent text,
    -- What became of it when it was taken in again: accepted or duplicate.
    outcome text,
    settled_at timestamptz,
    PRIMARY KEY (shard, quarantine_id),
    UNIQUE (shard, source_id, digest)
);
CREATE INDEX quarantine_received ON quarantine (source_id, received_at, quarantine_id);
CREATE INDEX quarantine_subjects ON quarantine USING gin (subjects);

ALTER TABLE reconciliation ADD COLUMN quarantined bigint NOT NULL DEFAULT 0;
ALTER TABLE reconciliation DROP CONSTRAINT reconciliation_check;
ALTER TABLE reconciliation ADD CONSTRAINT reconciliation_check
    CHECK (received = accepted + duplicate + quarantined + refused);

-- Keys are forgotten when the window of deduplication has passed.
CREATE INDEX message_key_received ON message_key USING brin (received_at);
