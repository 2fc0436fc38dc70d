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
