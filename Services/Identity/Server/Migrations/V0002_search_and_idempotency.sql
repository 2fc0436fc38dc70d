-- What profiles are found by: of each, the keyed hashes of the first 3 to 12 characters of its names and identifiers.
-- Under the profile that they arrived under, so that a merge changes nothing here. A row may hold hashes of values that
-- do not hold any more; whoever searches reads the profile before it is shown.
CREATE TABLE profiles.search_prefix (
    shard smallint NOT NULL,
    profile_id uuid NOT NULL,
    -- name, email, externalId or phone.
    field text COLLATE "C" NOT NULL,
    prefixes bigint[] NOT NULL,
    PRIMARY KEY (shard, profile_id, field)
) WITH (fillfactor = 85);
CREATE INDEX search_prefix_prefixes ON profiles.search_prefix USING gin (prefixes);

-- Not for the readers: nobody else searches.
GRANT SELECT, INSERT, UPDATE, DELETE ON profiles.search_prefix TO martlet_identity;

-- How far profiles that were there before are in the index.
CREATE TABLE search_backfill (
    shard smallint PRIMARY KEY,
    -- The last profile that is done; all are when finished_at is set.
    profile_id uuid,
    finished_at timestamptz
);
INSERT INTO search_backfill (shard) SELECT generate_series(0, 63);

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
