-- Where other systems send to: whose a request is, and what becomes of it.
CREATE TABLE webhook (
    webhook_id uuid PRIMARY KEY,
    source_id uuid NOT NULL REFERENCES source,
    name text NOT NULL,
    -- JSON, whatever it was written in.
    mapping text NOT NULL,
    -- One more with every change, of the secrets as well.
    version integer NOT NULL,
    -- Sealed with AES-GCM under a key that is not in the database.
    secrets bytea NOT NULL,
    created_at timestamptz NOT NULL,
    disabled_at timestamptz
);
CREATE INDEX webhook_source ON webhook (source_id);

-- The requests, and the privacy requests in them, that were accepted: each takes effect once. The shard is that of the
-- key.
CREATE TABLE webhook_delivery (
    shard smallint NOT NULL,
    webhook_id uuid NOT NULL,
    replay_key text COLLATE "C" NOT NULL,
    accepted_at timestamptz NOT NULL,
    expires_at timestamptz NOT NULL,
    PRIMARY KEY (shard, webhook_id, replay_key)
);
CREATE INDEX webhook_delivery_expires ON webhook_delivery (expires_at);
