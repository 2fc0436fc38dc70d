-- What a source is allowed to send, by version; the highest counts.
CREATE TABLE tracking_plan (
    source_id uuid NOT NULL REFERENCES source,
    version integer NOT NULL,
    -- NULL where the plan was taken away.
    document text,
    created_at timestamptz NOT NULL,
    PRIMARY KEY (source_id, version)
);

-- What becomes of `context.ip`: truncate, keep or drop; and whether names of events are brought to one vocabulary.
ALTER TABLE source ADD COLUMN ip text NOT NULL DEFAULT 'truncate';
ALTER TABLE source ADD COLUMN vocabulary boolean NOT NULL DEFAULT true;
