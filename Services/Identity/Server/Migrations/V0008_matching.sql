-- Probabilistic matching: jobs, and the pairs of profiles that they found. No value of a trait or identifier is in here.

CREATE TABLE matching_job (
    job_id uuid PRIMARY KEY,
    -- The fields that are compared with the traits that they are found in, the thresholds, and whether anybody is merged
    -- without being asked about.
    definition jsonb NOT NULL,
    state text NOT NULL CHECK (state IN ('queued', 'running', 'done', 'failed', 'cancelled')),
    -- What is being done, while it is running.
    stage text,
    -- Why it failed.
    failure text,
    created_at timestamptz NOT NULL,
    created_by text NOT NULL,
    started_at timestamptz,
    ended_at timestamptz,
    -- The fence: one more with each instance that takes it up. Until lease_until, by the machine's clock, nobody else does.
    run integer NOT NULL DEFAULT 0,
    lease_until timestamptz,
    -- Whether what was found is written, so that it is carried out and not looked for again.
    is_planned boolean NOT NULL DEFAULT false,
    -- Profiles that were read, and those of them that have anything to compare.
    profiles bigint NOT NULL DEFAULT 0,
    compared_profiles bigint NOT NULL DEFAULT 0,
    compared_pairs bigint NOT NULL DEFAULT 0,
    -- Steps that follow from what was found, and those that are carried out.
    steps bigint NOT NULL DEFAULT 0,
    steps_done bigint NOT NULL DEFAULT 0,
    merged bigint NOT NULL DEFAULT 0,
    proposed bigint NOT NULL DEFAULT 0,
    rejected_before bigint NOT NULL DEFAULT 0,
    withheld bigint NOT NULL DEFAULT 0,
    moot bigint NOT NULL DEFAULT 0
) WITH (fillfactor = 50);
CREATE INDEX matching_job_open ON matching_job (job_id) WHERE state IN ('queued', 'running');

-- The shard is that of the proposal's id.
CREATE TABLE matching_proposal (
    shard smallint NOT NULL,
    proposal_id uuid NOT NULL,
    job_id uuid NOT NULL,
    -- The two profiles, each canonical when they were compared. They stay what they are when either is merged, and so does
    -- what was decided of them: who a profile belongs to is looked up.
    left_id uuid NOT NULL,
    right_id uuid NOT NULL,
    weight double precision NOT NULL,
    probability double precision NOT NULL,
    -- planned is what a running job has still to carry out.
    state text NOT NULL
        CHECK (state IN ('planned', 'pending', 'accepted', 'rejected', 'automatic', 'superseded')),
    -- merge or review.
    step_kind text NOT NULL,
    step integer NOT NULL,
    -- Why somebody is asked although it is likely enough to be merged.
    doubt text,
    -- Levels and weights, no values.
    explanation jsonb NOT NULL,
    proposed_at timestamptz NOT NULL,
    decided_at timestamptz,
    decided_by text,
    note text,
    merge_id uuid,
    PRIMARY KEY (shard, proposal_id)
);
CREATE INDEX matching_proposal_state ON matching_proposal (state, weight, proposal_id);
CREATE INDEX matching_proposal_planned ON matching_proposal (job_id, step) WHERE state = 'planned';
CREATE INDEX matching_proposal_left ON matching_proposal (left_id);
CREATE INDEX matching_proposal_right ON matching_proposal (right_id);
