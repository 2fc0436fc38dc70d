-- A changed rule is decided for everybody beside the one in force, which answers until then.
ALTER TABLE segment
    ADD COLUMN next_version integer,
    ADD COLUMN next_rule jsonb,
    -- The revision of the set that everybody must be decided by before the next rule can come into force.
    ADD COLUMN next_revision bigint,
    -- Since when the rule in force is in force.
    ADD COLUMN live_at timestamptz NOT NULL DEFAULT now(),
    -- The first version since the segment was made; those before are of one of its name that was deleted.
    ADD COLUMN first_version integer NOT NULL DEFAULT 1;
UPDATE segment s SET live_at = coalesce(
    (SELECT v.created_at FROM segment_version v WHERE v.id = s.id AND v.version = s.version), s.updated_at);

-- The revision that all profiles of the shard are decided by at least.
ALTER TABLE backfill ADD COLUMN done bigint NOT NULL DEFAULT 0;
UPDATE backfill SET done = revision WHERE position IS NULL;

-- Who is in a segment by its next rule and not by the one in force, or the other way round: what changes when the next
-- rule comes into force. It is what the states say, kept beside them by segment.
CREATE TABLE membership_difference (
    shard smallint NOT NULL,
    profile_id uuid NOT NULL,
    segment text COLLATE "C" NOT NULL,
    enters boolean NOT NULL,
    PRIMARY KEY (shard, profile_id, segment)
);
CREATE INDEX membership_difference_segment ON membership_difference (segment, shard, profile_id);
