-- How many entered and left each segment in each hour, by the instants at which the rule says so. Counts alone: nothing
-- of them is anybody's, and so they stay when somebody is erased.
CREATE TABLE segment_hour (
    shard smallint NOT NULL,
    segment text COLLATE "C" NOT NULL,
    hour timestamptz NOT NULL,
    entered bigint NOT NULL,
    exited bigint NOT NULL,
    PRIMARY KEY (shard, segment, hour)
) WITH (fillfactor = 70);
CREATE INDEX segment_hour_segment ON segment_hour (segment, hour);

-- Who is in each segment by now entered at some time before this table was there.
INSERT INTO segment_hour (shard, segment, hour, entered, exited)
SELECT shard, segment, date_trunc('hour', entered_at, 'UTC'), count(*), 0
FROM profiles.membership GROUP BY 1, 2, 3;

-- Answers to repeat when a caller sends the same request again under the same Idempotency-Key.
CREATE TABLE idempotency_key (
    shard smallint NOT NULL,
    caller text NOT NULL,
    key text NOT NULL,
    request_digest bytea NOT NULL,
    status integer,
    body text,
    profile_id uuid,
    created_at timestamptz NOT NULL,
    PRIMARY KEY (shard, caller, key)
);
CREATE INDEX idempotency_key_age ON idempotency_key (shard, created_at);

-- The members of a segment as they were at one moment.
CREATE TABLE snapshot (
    id uuid PRIMARY KEY,
    segment text COLLATE "C" NOT NULL,
    version integer NOT NULL,
    note text NOT NULL,
    members bigint NOT NULL,
    made_at timestamptz NOT NULL
);
CREATE INDEX snapshot_segment ON snapshot (segment, made_at DESC, id);

CREATE TABLE snapshot_member (
    shard smallint NOT NULL,
    profile_id uuid NOT NULL,
    snapshot_id uuid NOT NULL,
    entered_at timestamptz NOT NULL,
    PRIMARY KEY (shard, profile_id, snapshot_id)
);
CREATE INDEX snapshot_member_snapshot ON snapshot_member (snapshot_id, shard, profile_id);
