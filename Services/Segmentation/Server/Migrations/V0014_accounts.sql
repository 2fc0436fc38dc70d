-- What group calls tell of accounts, so that each member's rules see what another said. Identity keeps the same for who asks
-- about accounts, as of its own place in the stream; here it is as far as the facts have been read. The shard is that of the
-- account's id. Traits stay when the member who told of them is erased: they are the account's.

-- A row to lock: whoever joins an account, or tells of it, waits for the one before.
CREATE TABLE account (
    shard smallint NOT NULL,
    group_id text COLLATE "C" NOT NULL,
    PRIMARY KEY (shard, group_id)
);

-- The latest call that carried each trait, by (occurred_at, message_id), and where it stands in the timeline.
CREATE TABLE account_trait (
    shard smallint NOT NULL,
    group_id text COLLATE "C" NOT NULL,
    name text COLLATE "C" NOT NULL,
    -- Sealed.
    value text NOT NULL,
    occurred_at timestamptz NOT NULL,
    message_id text COLLATE "C" NOT NULL,
    told_shard smallint NOT NULL,
    told_offset bigint NOT NULL,
    PRIMARY KEY (shard, group_id, name)
);

CREATE TABLE account_member (
    shard smallint NOT NULL,
    group_id text COLLATE "C" NOT NULL,
    -- The profile that the call arrived under, so that a merge, and its undoing, changes nothing here.
    profile_id uuid NOT NULL,
    PRIMARY KEY (shard, group_id, profile_id)
);
CREATE INDEX account_member_profile ON account_member (profile_id);

-- Accounts of which the members are yet to be told: `position` is the last who was, NULL before the first; `again` where
-- something has changed since the first.
CREATE TABLE account_change (
    shard smallint NOT NULL,
    group_id text COLLATE "C" NOT NULL,
    position uuid,
    again boolean NOT NULL DEFAULT false,
    PRIMARY KEY (shard, group_id)
);

-- Group calls that were read before there were these tables are read once more: those behind `position`, up to `until`.
CREATE TABLE account_reading (
    shard smallint PRIMARY KEY,
    position bigint NOT NULL,
    until bigint NOT NULL
);
INSERT INTO account_reading (shard, position, until)
SELECT shard, 0, "offset" FROM stream_checkpoint WHERE stream = 'profile-events' AND "offset" > 0
ON CONFLICT DO NOTHING;
