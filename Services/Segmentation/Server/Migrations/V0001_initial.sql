-- What segmentation decides from: definitions, a state per profile, deadlines; and what it publishes.

-- One row: how often the set of rules has changed. Whoever decides holds the advisory lock of the set shared, whoever
-- changes it holds it alone, so no profile is decided by rules that a committed change has replaced.
CREATE TABLE segment_set (
    only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    revision bigint NOT NULL
);
INSERT INTO segment_set (revision) VALUES (0);

CREATE TABLE segment (
    id text COLLATE "C" PRIMARY KEY,
    name text NOT NULL,
    description text NOT NULL,
    -- Counts the changes of the rule; evidence names it.
    version integer NOT NULL,
    rule jsonb NOT NULL,
    -- Counts every change, also of the name; the ETag.
    edition bigint NOT NULL,
    -- The revision of the set in which the rule got this version.
    revision bigint NOT NULL,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    deleted_at timestamptz
);

-- Every rule that was ever in force, so that the evidence of old changes can be read.
CREATE TABLE segment_version (
    id text COLLATE "C" NOT NULL,
    version integer NOT NULL,
    rule jsonb NOT NULL,
    created_at timestamptz NOT NULL,
    PRIMARY KEY (id, version)
);

-- How far each shard has been brought to the rules in force: `position` is the last profile done, NULL when all are.
CREATE TABLE backfill (
    shard smallint PRIMARY KEY,
    revision bigint NOT NULL,
    position uuid
);
INSERT INTO backfill (shard, revision) SELECT number, 0 FROM generate_series(0, 63) AS number;

CREATE TABLE profile_state (
    shard smallint NOT NULL,
    profile_id uuid NOT NULL,
    -- '{}' for a profile that was just seen; NULL for one that was merged into another.
    state text,
    PRIMARY KEY (shard, profile_id)
) WITH (fillfactor = 70);

CREATE TABLE deadline (
    shard smallint NOT NULL,
    profile_id uuid NOT NULL,
    due_at timestamptz NOT NULL,
    PRIMARY KEY (shard, profile_id)
) WITH (fillfactor = 85);
CREATE INDEX deadline_due ON deadline (due_at);

CREATE TABLE stream_memberships (
    shard smallint NOT NULL,
    "offset" bigint NOT NULL,
    key text NOT NULL,
    recorded_at timestamptz NOT NULL,
    traceparent text,
    body text NOT NULL,
    PRIMARY KEY (shard, "offset")
);

-- Segmentation's part of the customer profile store: who is in which segment now.
CREATE TABLE profiles.membership (
    shard smallint NOT NULL,
    profile_id uuid NOT NULL,
    segment text COLLATE "C" NOT NULL,
    -- The version of the rule by which the profile entered.
    version integer NOT NULL,
    entered_at timestamptz NOT NULL,
    evidence jsonb NOT NULL,
    PRIMARY KEY (shard, profile_id, segment)
);
CREATE INDEX membership_segment ON profiles.membership (segment, shard, profile_id);

GRANT USAGE ON SCHEMA profiles TO martlet_segmentation, martlet_readers;
GRANT SELECT, INSERT, UPDATE, DELETE ON profiles.membership TO martlet_segmentation;
GRANT SELECT ON profiles.membership TO martlet_readers;
