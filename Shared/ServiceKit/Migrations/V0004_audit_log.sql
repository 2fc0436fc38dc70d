-- Who has made, rotated and ended API keys: the same tables as in every service's schema.
CREATE TABLE audit_head (
    shard smallint PRIMARY KEY,
    position bigint NOT NULL,
    hash bytea NOT NULL
);
CREATE TABLE audit_entry (
    shard smallint NOT NULL,
    position bigint NOT NULL,
    at timestamptz NOT NULL,
    actor text NOT NULL,
    action text NOT NULL,
    route text NOT NULL,
    subjects uuid[] NOT NULL,
    target text,
    reason text,
    outcome text NOT NULL,
    status bigint,
    previous_hash bytea NOT NULL,
    hash bytea NOT NULL,
    PRIMARY KEY (shard, position)
);
CREATE INDEX audit_entry_time ON audit_entry (at DESC, shard DESC, position DESC);
CREATE INDEX audit_entry_actor ON audit_entry (actor, at DESC);
CREATE INDEX audit_entry_subjects ON audit_entry USING gin (subjects);
GRANT SELECT ON platform.audit_head, platform.audit_entry TO martlet_readers;
