-- The key of each profile, wrapped under a key that is not in the database. Identity makes and destroys them; destroying
-- one is what makes an erasure final. The shard is that of the profile.
CREATE TABLE profiles.data_key (
    shard smallint NOT NULL,
    profile_id uuid NOT NULL,
    kek_id text NOT NULL,
    wrapped bytea NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (shard, profile_id)
);

GRANT SELECT, INSERT, DELETE ON profiles.data_key TO martlet_identity;
GRANT SELECT ON profiles.data_key TO martlet_readers;
