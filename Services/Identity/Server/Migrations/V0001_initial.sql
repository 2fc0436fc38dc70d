-- Identity's part of the customer profile store: who there is, what they are known by, and what they did.

CREATE TABLE profiles.profile (
    shard smallint NOT NULL,
    profile_id uuid NOT NULL,
    -- The root of the tree of merges that the profile is in; its own id when it was merged into none.
    canonical_id uuid NOT NULL,
    -- Whether the person has a userId; kept on the canonical profile alone.
    is_known boolean NOT NULL DEFAULT false,
    created_at timestamptz NOT NULL,
    -- When identifiers, traits or merges last changed.
    updated_at timestamptz NOT NULL,
    erased_at timestamptz,
    PRIMARY KEY (shard, profile_id)
);
CREATE INDEX profile_canonical ON profiles.profile (canonical_id);

CREATE TABLE profiles.identifier (
    -- That of the hash, not of the profile: who asks has the value alone.
    shard smallint NOT NULL,
    type text COLLATE "C" NOT NULL,
    value_hash bytea NOT NULL,
    value text NOT NULL,
    -- The profile that it led to first. A merge joins profiles and leaves this as it is, so it can be undone.
    profile_id uuid NOT NULL,
    first_seen timestamptz NOT NULL,
    last_seen timestamptz NOT NULL,
    PRIMARY KEY (shard, type, value_hash)
) WITH (fillfactor = 85);
CREATE INDEX identifier_profile ON profiles.identifier (profile_id);

-- The edges of the trees. The shard is that of the survivor.
CREATE TABLE profiles.merge (
    shard smallint NOT NULL,
    merge_id uuid NOT NULL,
    survivor_id uuid NOT NULL,
    merged_id uuid NOT NULL,
    at timestamptz NOT NULL,
    cause jsonb NOT NULL,
    undone_at timestamptz,
    PRIMARY KEY (shard, merge_id)
);
CREATE INDEX merge_survivor ON profiles.merge (survivor_id);
CREATE INDEX merge_merged ON profiles.merge (merged_id);

-- The latest value of each trait by (occurred_at, message_id), under the profile that it arrived under; null for
-- one that was removed.
CREATE TABLE profiles.trait (
    shard smallint NOT NULL,
    profile_id uuid NOT NULL,
    name text NOT NULL,
    value jsonb NOT NULL,
    occurred_at timestamptz NOT NULL,
    message_id text COLLATE "C" NOT NULL,
    source_id uuid NOT NULL,
    PRIMARY KEY (shard, profile_id, name)
) WITH (fillfactor = 85);

-- Everything that happened, and the stream profile-events. The key, and with it the shard, is the profile that was
-- canonical when the row was written.
CREATE TABLE profiles.timeline (
    shard smallint NOT NULL,
    "offset" bigint NOT NULL,
    key text NOT NULL,
    recorded_at timestamptz NOT NULL,
    traceparent text,
    body text NOT NULL,
    -- The profile that the event's own identifiers led to.
    profile_id uuid NOT NULL,
    occurred_at timestamptz NOT NULL,
    -- The kind of the call for an event, else the kind of the fact.
    type text NOT NULL,
    name text,
    message_id text,
    PRIMARY KEY (shard, "offset")
);
CREATE INDEX timeline_profile ON profiles.timeline (profile_id, occurred_at);

GRANT USAGE ON SCHEMA profiles TO martlet_identity, martlet_readers;
GRANT SELECT, INSERT, UPDATE, DELETE
    ON profiles.profile, profiles.identifier, profiles.merge, profiles.trait, profiles.timeline TO martlet_identity;
GRANT SELECT
    ON profiles.profile, profiles.identifier, profiles.merge, profiles.trait, profiles.timeline TO martlet_readers;
