-- Identifiers that a correction took from somebody, by keyed hash: what happened before it and comes late does not give them
-- back. From others nothing is kept, since their owner may come.
CREATE TABLE corrected_identifier (
    -- That of the identifier.
    shard smallint NOT NULL,
    type text NOT NULL,
    value_hash bytea NOT NULL,
    -- Who they were when it was taken from them.
    profile_id uuid NOT NULL,
    corrected_at timestamptz NOT NULL,
    PRIMARY KEY (shard, type, value_hash, profile_id)
);
-- Events of after the latest correction need not be looked up.
CREATE INDEX corrected_identifier_at ON corrected_identifier (corrected_at);
CREATE INDEX corrected_identifier_profile ON corrected_identifier (profile_id);
