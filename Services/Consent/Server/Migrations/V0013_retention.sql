-- For how long which data is kept. Every version that was ever in force, as it was written and as it is read; the last one is.
CREATE TABLE profiles.retention_policy (
    version bigint PRIMARY KEY,
    body text NOT NULL,
    source text NOT NULL,
    created_at timestamptz NOT NULL,
    created_by text NOT NULL
);
INSERT INTO profiles.retention_policy (version, body, source, created_at, created_by)
VALUES (1, '{}', '{}', now(), 'migration');
GRANT SELECT, INSERT ON profiles.retention_policy TO martlet_consent;
GRANT SELECT ON profiles.retention_policy TO martlet_readers;

-- What services have let go of by it. It names nobody.
CREATE TABLE retention_run (
    run_id uuid PRIMARY KEY,
    service text NOT NULL,
    class text NOT NULL,
    rule text,
    policy_version bigint NOT NULL,
    boundary timestamptz NOT NULL,
    rows bigint NOT NULL,
    started_at timestamptz NOT NULL,
    ended_at timestamptz NOT NULL
);
CREATE INDEX retention_run_ended ON retention_run (ended_at, run_id);
REVOKE UPDATE, DELETE, TRUNCATE ON retention_run FROM martlet_consent;

-- What is kept no longer is found by when it ended.
CREATE INDEX privacy_request_ended ON privacy_request (ended_at) WHERE ended_at IS NOT NULL;
CREATE INDEX privacy_result_found ON privacy_result (reported_at) WHERE result IS NOT NULL;
