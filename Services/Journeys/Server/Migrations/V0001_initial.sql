-- Definitions: few, so they are not sharded.
CREATE TABLE journeys.journey (
    journey_id text PRIMARY KEY,
    -- Counts every change, of the status too; the entity tag.
    revision bigint NOT NULL,
    version integer NOT NULL,
    status text NOT NULL CHECK (status IN ('draft', 'active', 'paused')),
    name text NOT NULL,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    deleted_at timestamptz
);

-- Every version that ever was: an instance stays with the one that it started with.
CREATE TABLE journeys.definition (
    journey_id text NOT NULL REFERENCES journeys.journey,
    version integer NOT NULL,
    -- The text as its author wrote it.
    format text NOT NULL CHECK (format IN ('yaml', 'json')),
    source text NOT NULL,
    document jsonb NOT NULL,
    created_at timestamptz NOT NULL,
    PRIMARY KEY (journey_id, version)
);

-- What is remembered of a profile; its row is the lock under which all decisions about it are made.
CREATE TABLE journeys.profile (
    shard smallint NOT NULL,
    profile_id uuid NOT NULL,
    memory jsonb NOT NULL DEFAULT '{}',
    -- Set when the profile was merged into another.
    survivor_id uuid,
    PRIMARY KEY (shard, profile_id)
);
CREATE INDEX profile_survivor ON journeys.profile (survivor_id) WHERE survivor_id IS NOT NULL;

CREATE TABLE journeys.instance (
    shard smallint NOT NULL,
    instance_id uuid NOT NULL,
    profile_id uuid NOT NULL,
    journey_id text NOT NULL,
    version integer NOT NULL,
    entered_at timestamptz NOT NULL,
    trigger_key text NOT NULL,
    step text,
    due_at timestamptz,
    ended_at timestamptz,
    end_reason text,
    state jsonb NOT NULL,
    PRIMARY KEY (shard, instance_id)
);
CREATE UNIQUE INDEX instance_running ON journeys.instance (shard, profile_id, journey_id) WHERE ended_at IS NULL;
CREATE INDEX instance_profile ON journeys.instance (shard, profile_id, journey_id);
CREATE INDEX instance_journey ON journeys.instance (journey_id, entered_at, instance_id);
CREATE INDEX instance_version ON journeys.instance (journey_id, version) WHERE ended_at IS NULL;
CREATE INDEX instance_id ON journeys.instance (instance_id);

-- Every entry, refusal, transition, send and exit, with what it rests on.
CREATE TABLE journeys.instance_history (
    shard smallint NOT NULL,
    history_id uuid NOT NULL,
    profile_id uuid NOT NULL,
    -- NULL for somebody who was not let in.
    instance_id uuid,
    journey_id text NOT NULL,
    version integer NOT NULL,
    ordinal integer NOT NULL,
    kind text NOT NULL,
    step text,
    at timestamptz NOT NULL,
    cause jsonb NOT NULL,
    detail jsonb NOT NULL,
    PRIMARY KEY (shard, history_id)
);
CREATE INDEX instance_history_instance ON journeys.instance_history (shard, instance_id, ordinal);
CREATE INDEX instance_history_profile ON journeys.instance_history (shard, profile_id);
CREATE INDEX instance_history_journey ON journeys.instance_history (journey_id, at, history_id);

CREATE TABLE journeys.deadline (
    shard smallint NOT NULL,
    instance_id uuid NOT NULL,
    profile_id uuid NOT NULL,
    due_at timestamptz NOT NULL,
    PRIMARY KEY (shard, instance_id)
);
CREATE INDEX deadline_due ON journeys.deadline (due_at);
CREATE INDEX deadline_profile ON journeys.deadline (shard, profile_id);

-- The key that makes an intent unique, whatever is run again.
CREATE TABLE journeys.intent (
    shard smallint NOT NULL,
    intent_id uuid NOT NULL,
    profile_id uuid NOT NULL,
    instance_id uuid NOT NULL,
    step text NOT NULL,
    visit integer NOT NULL,
    at timestamptz NOT NULL,
    PRIMARY KEY (shard, intent_id),
    CONSTRAINT intent_once UNIQUE (shard, instance_id, step, visit)
);
CREATE INDEX intent_profile ON journeys.intent (shard, profile_id);

CREATE TABLE journeys.stream_intents (
    shard smallint NOT NULL,
    "offset" bigint NOT NULL,
    key text NOT NULL,
    recorded_at timestamptz NOT NULL,
    traceparent text,
    body text NOT NULL,
    PRIMARY KEY (shard, "offset")
);
-- Erasure blanks the variables of what was asked for.
CREATE INDEX stream_intents_key ON journeys.stream_intents (shard, key);
