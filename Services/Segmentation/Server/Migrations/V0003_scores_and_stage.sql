-- Scores: how each is made up. What a profile's score rests on is in its profile_state.
CREATE TABLE score (
    id text COLLATE "C" PRIMARY KEY,
    name text NOT NULL,
    description text NOT NULL,
    -- Counts the changes of how it is made up; evidence names it.
    version integer NOT NULL,
    scoring jsonb NOT NULL,
    -- Counts every change, also of the name; the ETag.
    edition bigint NOT NULL,
    -- The revision of the set of rules in which it got this version.
    revision bigint NOT NULL,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    deleted_at timestamptz
);

-- How every score was ever made up, so that the evidence of old changes can be read.
CREATE TABLE score_version (
    id text COLLATE "C" NOT NULL,
    version integer NOT NULL,
    scoring jsonb NOT NULL,
    created_at timestamptz NOT NULL,
    PRIMARY KEY (id, version)
);

-- One row: the journey stages in their order, `[{"id": …, "name": …, "description": …, "rule": …}, …]`.
CREATE TABLE stage_list (
    only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    -- Counts the changes of the rules and their order; evidence names it.
    version integer NOT NULL,
    stages jsonb NOT NULL,
    -- Counts every change, also of the names; the ETag.
    edition bigint NOT NULL,
    -- The revision of the set of rules in which they got this version.
    revision bigint NOT NULL,
    updated_at timestamptz
);
INSERT INTO stage_list (version, stages, edition, revision) VALUES (0, '[]', 0, 0);

-- Every list that was ever in force, so that the evidence of old changes can be read.
CREATE TABLE stage_list_version (
    version integer PRIMARY KEY,
    stages jsonb NOT NULL,
    created_at timestamptz NOT NULL
);

-- Segmentation's part of the customer profile store: in which stage everybody is now.
CREATE TABLE profiles.stage (
    shard smallint NOT NULL,
    profile_id uuid NOT NULL,
    stage text COLLATE "C" NOT NULL,
    -- The version of the stages by which the profile came into it.
    version integer NOT NULL,
    entered_at timestamptz NOT NULL,
    evidence jsonb NOT NULL,
    PRIMARY KEY (shard, profile_id)
);
CREATE INDEX stage_stage ON profiles.stage (stage, shard, profile_id);

GRANT SELECT, INSERT, UPDATE, DELETE ON profiles.stage TO martlet_segmentation;
GRANT SELECT ON profiles.stage TO martlet_readers;
