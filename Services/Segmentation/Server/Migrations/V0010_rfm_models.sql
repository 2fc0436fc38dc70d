-- Editions of models of recency, frequency and monetary value: what counts as an order, and the thresholds between the fifths
-- of all who had ordered. Nobody is in it by name. Few rows: not divided into shards.
CREATE TABLE rfm_model (
    model_id uuid PRIMARY KEY,
    -- What rules call the model, of which this is an edition.
    name text COLLATE "C" NOT NULL,
    orders jsonb NOT NULL,
    status text NOT NULL CHECK (status IN ('waiting', 'running', 'done', 'failed')),
    -- People whose histories were read.
    examined bigint NOT NULL DEFAULT 0,
    -- Counts the editions of the model; the latest is in force.
    number integer,
    edition jsonb,
    -- How many people were in each of the named segments.
    segments jsonb,
    -- Why there is no edition.
    failure text,
    -- While an instance is at it, by the database's clock.
    leased_until timestamptz,
    attempts integer NOT NULL DEFAULT 0,
    created_at timestamptz NOT NULL,
    finished_at timestamptz,
    UNIQUE (name, number)
);
CREATE INDEX rfm_model_open ON rfm_model (created_at) WHERE status IN ('waiting', 'running');
