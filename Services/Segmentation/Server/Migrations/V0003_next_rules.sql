-- A changed rule is worked out for everybody beside the one in force, which answers until then.
ALTER TABLE segment
    ADD COLUMN next_version integer,
    ADD COLUMN next_rule jsonb,
    -- The revision of the set in which the next rule came.
    ADD COLUMN next_revision bigint,
    -- Since when the rule in force is in force.
    ADD COLUMN live_at timestamptz;
UPDATE segment s SET live_at = coalesce(
    (SELECT v.created_at FROM segment_version v WHERE v.id = s.id AND v.version = s.version), s.updated_at);
ALTER TABLE segment ALTER COLUMN live_at SET NOT NULL;

-- Who will be in which segment by its next rule: as profiles.membership, which nobody else reads before its time.
CREATE TABLE membership_draft (
    shard smallint NOT NULL,
    profile_id uuid NOT NULL,
    segment text COLLATE "C" NOT NULL,
    version integer NOT NULL,
    entered_at timestamptz NOT NULL,
    evidence jsonb NOT NULL,
    PRIMARY KEY (shard, profile_id, segment)
);
CREATE INDEX membership_draft_segment ON membership_draft (segment, shard, profile_id);
