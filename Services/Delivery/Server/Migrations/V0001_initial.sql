-- Few rows, read by every send: not divided into shards.
CREATE TABLE template (
    template_id text PRIMARY KEY,
    version bigint NOT NULL,
    updated_at timestamptz NOT NULL
);

-- Every version there ever was: the evidence of a message names one.
CREATE TABLE template_version (
    template_id text NOT NULL,
    version bigint NOT NULL,
    subject text NOT NULL,
    html text NOT NULL,
    body_text text NOT NULL,
    created_at timestamptz NOT NULL,
    PRIMARY KEY (template_id, version)
);

-- The shard is that of the profile that the intent named.
CREATE TABLE message (
    shard smallint NOT NULL,
    message_id uuid NOT NULL,
    intent_id uuid NOT NULL,
    profile_id uuid NOT NULL,
    journey text NOT NULL,
    journey_version bigint NOT NULL,
    instance_id uuid NOT NULL,
    step text NOT NULL,
    channel text NOT NULL,
    template text NOT NULL,
    purpose text NOT NULL,
    variables text NOT NULL,
    wanted_at timestamptz NOT NULL,
    state text NOT NULL CHECK (
        state IN ('queued', 'sending', 'waiting', 'delivered', 'bounced', 'failed', 'suppressed')),
    reason text,
    attempts integer NOT NULL DEFAULT 0,
    queued_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    -- By the machine's clock, also in a rehearsal: a sender that died is dead in real time.
    leased_until timestamptz,
    subject text,
    address_hash bytea,
    evidence text,
    -- What the click links stand for: {"<key>": "<url>"}; renderings of all attempts together.
    links jsonb NOT NULL DEFAULT '{}',
    traceparent text,
    PRIMARY KEY (shard, message_id),
    UNIQUE (shard, intent_id)
);
CREATE INDEX message_queue ON message (queued_at, message_id) WHERE state = 'queued';
CREATE INDEX message_lease ON message (leased_until) WHERE state = 'sending';
CREATE INDEX message_profile ON message (profile_id, message_id);
CREATE INDEX message_newest ON message (message_id);

CREATE TABLE attempt (
    shard smallint NOT NULL,
    message_id uuid NOT NULL,
    attempt integer NOT NULL,
    finished_at timestamptz NOT NULL,
    outcome text NOT NULL CHECK (outcome IN ('delivered', 'bounced', 'retry', 'failed')),
    detail text NOT NULL,
    PRIMARY KEY (shard, message_id, attempt)
);

-- What is still to be done at a time: `retry` when the next attempt is due, and `send` from the moment a message
-- is queued until it is settled, so that a rehearsal's clock waits for mails under way.
CREATE TABLE deadline (
    shard smallint NOT NULL,
    message_id uuid NOT NULL,
    kind text NOT NULL CHECK (kind IN ('retry', 'send')),
    due_at timestamptz NOT NULL,
    PRIMARY KEY (shard, message_id)
);
CREATE INDEX deadline_due ON deadline (due_at);
CREATE INDEX deadline_retry ON deadline (due_at) WHERE kind = 'retry';

-- Opens, and clicks by link: `link_key` is empty for opens.
CREATE TABLE engagement (
    shard smallint NOT NULL,
    message_id uuid NOT NULL,
    kind text NOT NULL CHECK (kind IN ('open', 'click', 'unsubscribe')),
    link_key text NOT NULL DEFAULT '',
    first_at timestamptz NOT NULL,
    last_at timestamptz NOT NULL,
    count bigint NOT NULL DEFAULT 1,
    PRIMARY KEY (shard, message_id, kind, link_key)
);

-- Addresses that get no mail, by keyed hash, so that the list outlives the erasure of whoever asked for it.
-- `purpose` is empty for all purposes.
CREATE TABLE suppression (
    shard smallint NOT NULL,
    address_hash bytea NOT NULL,
    purpose text NOT NULL,
    reason text NOT NULL CHECK (reason IN ('unsubscribed', 'bounced', 'complained', 'manual')),
    message_id uuid,
    created_at timestamptz NOT NULL,
    PRIMARY KEY (shard, address_hash, purpose)
);
