-- Profiles of undone merges whose consent may still stand as it stood with them: it is looked at again as soon as the
-- consent service has followed.
CREATE TABLE consent_recheck (
    shard smallint NOT NULL,
    profile_id uuid NOT NULL,
    merge_id uuid NOT NULL,
    PRIMARY KEY (shard, profile_id, merge_id)
);
