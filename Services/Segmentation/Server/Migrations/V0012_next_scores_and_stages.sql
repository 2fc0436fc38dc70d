-- A changed score and a changed list of stages are decided for everybody beside those in force, which answer until then.
ALTER TABLE score
    ADD COLUMN next_version integer,
    ADD COLUMN next_scoring jsonb,
    -- The revision of the set that everybody must be decided by before it can come into force.
    ADD COLUMN next_revision bigint,
    -- Since when it is made up as it is.
    ADD COLUMN live_at timestamptz NOT NULL DEFAULT now();
UPDATE score s SET live_at = coalesce(
    (SELECT v.created_at FROM score_version v WHERE v.id = s.id AND v.version = s.version), s.updated_at);

ALTER TABLE stage_list
    ADD COLUMN next_version integer,
    ADD COLUMN next_stages jsonb,
    ADD COLUMN next_revision bigint,
    ADD COLUMN live_at timestamptz NOT NULL DEFAULT now();
UPDATE stage_list s SET live_at = coalesce(
    (SELECT v.created_at FROM stage_list_version v WHERE v.version = s.version), s.updated_at, s.live_at);

-- Who is in another stage by next rules than by those in force: what changes when they come into force. NULL is none.
CREATE TABLE stage_difference (
    shard smallint NOT NULL,
    profile_id uuid NOT NULL,
    stage text COLLATE "C",
    PRIMARY KEY (shard, profile_id)
);
