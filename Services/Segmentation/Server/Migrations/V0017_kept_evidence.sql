-- Evidence that is too large for a record of the stream, which has its id.
CREATE TABLE kept_evidence (
    shard smallint NOT NULL,
    profile_id uuid NOT NULL,
    evidence_id uuid NOT NULL,
    -- Sealed.
    body text NOT NULL,
    PRIMARY KEY (shard, profile_id, evidence_id)
);
