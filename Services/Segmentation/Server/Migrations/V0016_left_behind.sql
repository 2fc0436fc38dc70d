-- Profiles that could not be brought to changed rules, because their state does not read or is too large to be made anew: the
-- others don't wait for them. They are tried again, and brought to the rules when that goes.
CREATE TABLE left_behind (
    shard smallint NOT NULL,
    profile_id uuid NOT NULL,
    tried_at timestamptz NOT NULL,
    PRIMARY KEY (shard, profile_id)
);
