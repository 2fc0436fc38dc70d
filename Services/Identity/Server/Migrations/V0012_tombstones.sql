-- Identifiers of people who were erased, by keyed hash: what happened before and comes late makes nobody of them again.
CREATE TABLE profiles.erased_identifier (
    shard smallint NOT NULL,
    type text NOT NULL,
    value_hash bytea NOT NULL,
    erased_at timestamptz NOT NULL,
    PRIMARY KEY (shard, type, value_hash)
);
-- Events of after the latest erasure need not be looked up.
CREATE INDEX erased_identifier_at ON profiles.erased_identifier (erased_at);
GRANT SELECT, INSERT, UPDATE, DELETE ON profiles.erased_identifier TO martlet_identity;
GRANT SELECT ON profiles.erased_identifier TO martlet_readers;
