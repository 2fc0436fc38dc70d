-- Computed traits: what each is worked out from and how. The values are worked out from the timeline when they are asked for,
-- so nothing is kept of anybody. Few rows: not divided into shards.
CREATE TABLE computed_trait (
    id text COLLATE "C" PRIMARY KEY,
    name text NOT NULL,
    description text NOT NULL,
    -- Counts the changes of how it is worked out.
    version integer NOT NULL,
    definition jsonb NOT NULL,
    -- Counts every change, also of the name; the ETag.
    edition bigint NOT NULL,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    -- One that is made again goes on from its versions.
    deleted_at timestamptz
);
