-- Whom an undone merge had joined: every profile of the person that became two, on either side. Whoever decides something
-- at once by what others derive (delivery, when it sends) sees here that some of them may have yet to follow.
CREATE TABLE profiles.unmerged_profile (
    shard smallint NOT NULL,
    profile_id uuid NOT NULL,
    merge_id uuid NOT NULL,
    at timestamptz NOT NULL,
    PRIMARY KEY (shard, profile_id, merge_id)
);
CREATE INDEX unmerged_profile_merge ON profiles.unmerged_profile (merge_id);
GRANT SELECT, INSERT, UPDATE, DELETE ON profiles.unmerged_profile TO martlet_identity;
GRANT SELECT ON profiles.unmerged_profile TO martlet_readers;
