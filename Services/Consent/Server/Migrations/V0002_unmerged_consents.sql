-- The undone merges that the standing decisions have followed, by the profiles that they had joined.
CREATE TABLE profiles.consent_unmerge (
    shard smallint NOT NULL,
    profile_id uuid NOT NULL,
    merge_id uuid NOT NULL,
    PRIMARY KEY (shard, profile_id, merge_id)
);
GRANT SELECT, INSERT, UPDATE, DELETE ON profiles.consent_unmerge TO martlet_consent;
GRANT SELECT ON profiles.consent_unmerge TO martlet_readers;
