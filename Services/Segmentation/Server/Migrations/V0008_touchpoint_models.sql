-- How much touchpoints predict conversions: what was asked, and what was learned. Nobody is in it by name. Few rows: not
-- divided into shards.
CREATE TABLE touchpoint_model (
    model_id uuid PRIMARY KEY,
    question jsonb NOT NULL,
    status text NOT NULL CHECK (status IN ('waiting', 'running', 'done', 'failed')),
    -- People whose histories were read, of so many.
    examined bigint NOT NULL DEFAULT 0,
    wanted bigint NOT NULL,
    result jsonb,
    -- Why nothing was learned.
    failure text,
    -- While an instance is at it, by the database's clock.
    leased_until timestamptz,
    attempts integer NOT NULL DEFAULT 0,
    created_at timestamptz NOT NULL,
    finished_at timestamptz
);
CREATE INDEX touchpoint_model_open ON touchpoint_model (created_at) WHERE status IN ('waiting', 'running');
