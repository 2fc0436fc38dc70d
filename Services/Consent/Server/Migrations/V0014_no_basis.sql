-- How far consent is in going through everybody for those whom nothing permits to hold any more. One row: the last pass. It names
-- nobody who is told to others; the place is how far it has come.
CREATE TABLE basis_pass (
    only_one boolean PRIMARY KEY DEFAULT true CHECK (only_one),
    policy_version bigint NOT NULL,
    consent_version bigint NOT NULL,
    boundary timestamptz NOT NULL,
    phase text NOT NULL CHECK (phase IN ('counting', 'filing', 'held', 'done')),
    shard smallint NOT NULL,
    after_id uuid NOT NULL,
    people bigint NOT NULL,
    without_basis bigint NOT NULL,
    filed bigint NOT NULL,
    started_at timestamptz NOT NULL,
    ended_at timestamptz
);
