-- Undone merges. The journeys of the two are taken apart at once; when segmentation has told of both which segments they
-- would have been in, they are gone through once more, and delivery is told of their messages.
CREATE TABLE journeys.unmerging (
    shard smallint NOT NULL,
    merge_id uuid NOT NULL,
    -- Who stayed and who was split off, as identity says; and who held the journeys of both.
    profile_id uuid NOT NULL,
    split_id uuid NOT NULL,
    holder_id uuid NOT NULL,
    at timestamptz NOT NULL,
    settled_at timestamptz,
    PRIMARY KEY (shard, merge_id)
);

-- What segmentation has told, until it is made use of; it may come first.
CREATE TABLE journeys.unmerging_history (
    shard smallint NOT NULL,
    merge_id uuid NOT NULL,
    profile_id uuid NOT NULL,
    history text NOT NULL,
    PRIMARY KEY (shard, merge_id, profile_id)
);
CREATE INDEX unmerging_history_profile ON journeys.unmerging_history (profile_id);
