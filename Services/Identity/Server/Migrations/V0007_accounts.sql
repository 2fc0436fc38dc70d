-- What group calls tell: accounts with traits of their own, and who belongs to them. The shard is that of the group's
-- id, as the caller has it.
CREATE TABLE profiles.account (
    shard smallint NOT NULL,
    group_id text COLLATE "C" NOT NULL,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    PRIMARY KEY (shard, group_id)
);

-- The latest value of each trait by (occurred_at, message_id); null for one that was removed.
CREATE TABLE profiles.account_trait (
    shard smallint NOT NULL,
    group_id text COLLATE "C" NOT NULL,
    name text NOT NULL,
    value jsonb NOT NULL,
    occurred_at timestamptz NOT NULL,
    message_id text COLLATE "C" NOT NULL,
    source_id uuid NOT NULL,
    PRIMARY KEY (shard, group_id, name)
);

CREATE TABLE profiles.account_member (
    shard smallint NOT NULL,
    group_id text COLLATE "C" NOT NULL,
    -- The profile that the call arrived under, so that a merge, and its undoing, changes nothing here.
    profile_id uuid NOT NULL,
    first_seen timestamptz NOT NULL,
    last_seen timestamptz NOT NULL,
    PRIMARY KEY (shard, group_id, profile_id)
);
CREATE INDEX account_member_profile ON profiles.account_member (profile_id);

GRANT SELECT, INSERT, UPDATE, DELETE ON profiles.account, profiles.account_trait, profiles.account_member
    TO martlet_identity;
GRANT SELECT ON profiles.account, profiles.account_trait, profiles.account_member TO martlet_readers;
