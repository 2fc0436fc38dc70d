-- What counts as an identifier. Every text that was ever in force; the last one is. None: the policy that is shipped.
CREATE TABLE identity_policy (
    version bigint PRIMARY KEY,
    source text NOT NULL,
    created_at timestamptz NOT NULL,
    created_by text NOT NULL
);

-- With whom else an identifier was seen than whom it belongs to: what too many share says nothing of anybody.
CREATE TABLE profiles.identifier_share (
    shard smallint NOT NULL,
    type text COLLATE "C" NOT NULL,
    value_hash bytea NOT NULL,
    profile_id uuid NOT NULL,
    PRIMARY KEY (shard, type, value_hash, profile_id)
);
CREATE INDEX identifier_share_profile ON profiles.identifier_share (profile_id);
GRANT SELECT, INSERT, UPDATE, DELETE ON profiles.identifier_share TO martlet_identity;

ALTER TABLE profiles.identifier ADD COLUMN shared_count integer NOT NULL DEFAULT 0;

-- Of a trait whose rule is another than the latest value: everything said of it that can still matter, as
-- TraitHistory has it. The other columns have what holds of it.
ALTER TABLE profiles.trait ADD COLUMN history jsonb;
