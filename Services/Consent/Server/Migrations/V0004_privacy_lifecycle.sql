-- Requests of every kind, with their legal clock, verification, who sees to them, and what has happened to them.
ALTER TABLE privacy_request DROP CONSTRAINT privacy_request_type_check;
ALTER TABLE privacy_request
    ADD CONSTRAINT privacy_request_type_check CHECK (type IN (
        'access', 'portability', 'know', 'rectification', 'erasure', 'delete', 'restriction', 'objection', 'optOut')),
    -- The defaults are for instances of the version before, which knew of no more than these.
    ADD COLUMN regime text NOT NULL DEFAULT 'gdpr' CHECK (regime IN ('gdpr', 'ccpa')),
    ADD COLUMN state text NOT NULL DEFAULT 'inProgress'
        CHECK (state IN ('received', 'verifying', 'inProgress', 'completed', 'refused', 'cancelled')),
    ADD COLUMN reason text,
    ADD COLUMN verified_at timestamptz,
    ADD COLUMN extended_at timestamptz,
    ADD COLUMN ended_at timestamptz,
    ADD COLUMN due_at timestamptz,
    ADD COLUMN assignee text,
    -- The caller's own name for it, one for each of the caller's requests.
    ADD COLUMN reference text,
    -- What is to be put right, or which purposes are objected to; sealed.
    ADD COLUMN detail text;

UPDATE privacy_request SET due_at = (requested_at AT TIME ZONE 'UTC' + interval '1 month') AT TIME ZONE 'UTC', ended_at = completed_at,
    state = CASE WHEN status = 'completed' THEN 'completed' ELSE 'inProgress' END;

-- An instance of the version before knows of no due date.
CREATE FUNCTION privacy_request_due() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.due_at := coalesce(
        NEW.due_at, (NEW.requested_at AT TIME ZONE 'UTC' + interval '1 month') AT TIME ZONE 'UTC');
    RETURN NEW;
END $$;
CREATE TRIGGER privacy_request_due BEFORE INSERT ON privacy_request
    FOR EACH ROW EXECUTE FUNCTION privacy_request_due();
ALTER TABLE privacy_request ALTER COLUMN due_at SET NOT NULL;

CREATE INDEX privacy_request_due ON privacy_request (due_at, request_id);
CREATE INDEX privacy_request_open ON privacy_request (due_at, request_id)
    WHERE state IN ('received', 'verifying', 'inProgress');
-- The shard is that of the request, so this index alone can't be unique across shards; who writes takes a lock of the name.
CREATE INDEX privacy_request_reference ON privacy_request (requested_by, reference) WHERE reference IS NOT NULL;

-- What has happened to a request, and what was noted about it. Texts are sealed.
CREATE TABLE privacy_step (
    shard smallint NOT NULL,
    request_id uuid NOT NULL,
    step integer NOT NULL,
    at timestamptz NOT NULL,
    event text NOT NULL,
    by_caller text NOT NULL,
    detail text,
    PRIMARY KEY (shard, request_id, step)
);

-- The secret that shows who asks, as its digest.
CREATE TABLE privacy_token (
    shard smallint NOT NULL,
    request_id uuid NOT NULL,
    digest bytea NOT NULL,
    expires_at timestamptz NOT NULL,
    failures integer NOT NULL,
    issued integer NOT NULL,
    PRIMARY KEY (shard, request_id)
);

-- When something is to be done though nothing happens, of whatever kind.
CREATE TABLE deadline (
    shard smallint NOT NULL,
    kind text NOT NULL,
    subject_id uuid NOT NULL,
    due_at timestamptz NOT NULL,
    PRIMARY KEY (shard, kind, subject_id)
);
CREATE INDEX deadline_due ON deadline (due_at);

CREATE TABLE stream_privacy_changes (
    shard smallint NOT NULL,
    "offset" bigint NOT NULL,
    key text NOT NULL,
    recorded_at timestamptz NOT NULL,
    traceparent text,
    body text NOT NULL,
    PRIMARY KEY (shard, "offset")
);

-- What a report said stays provable when what was found is dropped.
ALTER TABLE privacy_result
    ADD COLUMN digest bytea,
    ADD COLUMN counts text;

-- Who outside was told of somebody, and has to be told that they were erased (GDPR article 19).
CREATE TABLE privacy_recipient (
    shard smallint NOT NULL,
    request_id uuid NOT NULL,
    -- The webhook event that tells it.
    event_id uuid NOT NULL,
    endpoint_id uuid NOT NULL,
    profile_id uuid,
    description text NOT NULL,
    status text NOT NULL CHECK (status IN ('pending', 'answered', 'failed')),
    at timestamptz,
    PRIMARY KEY (shard, request_id, event_id)
);
