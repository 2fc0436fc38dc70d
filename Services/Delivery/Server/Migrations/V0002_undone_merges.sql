-- What journeys say of messages after they asked for them, because a merge was undone.
ALTER TABLE message
    -- The latest of it.
    ADD COLUMN correction jsonb,
    -- Whether it was said while the message was being sent: it counts if that attempt settles nothing.
    ADD COLUMN correction_due boolean NOT NULL DEFAULT false,
    -- Attempts that were made for somebody else, which the schedule of this person's doesn't count.
    ADD COLUMN prior_attempts integer NOT NULL DEFAULT 0;

-- A message that is held waits with a lease, by the machine's clock, until it is looked at again.
CREATE INDEX message_held ON message (leased_until) WHERE state = 'waiting' AND leased_until IS NOT NULL;

-- The undone merges of which all has been said that concerns the messages of a shard.
CREATE TABLE unmerge (
    shard smallint NOT NULL,
    merge_id uuid NOT NULL,
    at timestamptz NOT NULL,
    PRIMARY KEY (shard, merge_id)
);
