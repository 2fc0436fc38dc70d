-- What data may be used for. Every version that was ever in force, as it was written and as it is read; the last one is.
CREATE TABLE profiles.consent_policy (
    version bigint PRIMARY KEY,
    body text NOT NULL,
    source text NOT NULL,
    created_at timestamptz NOT NULL,
    created_by text NOT NULL
);

INSERT INTO profiles.consent_policy (version, body, source, created_at, created_by)
SELECT 1, p.body, p.body, now(), 'migration' FROM (
    SELECT jsonb_pretty(jsonb_build_object('purposes', jsonb_object_agg(purpose, jsonb_build_object(
        'name', name, 'legalBasis', legal_basis, 'text', jsonb_build_object('version', text_version))
        || CASE purpose WHEN 'marketing' THEN '{"directMarketing": true}'::jsonb ELSE '{}'::jsonb END))) AS body
    FROM profiles.purpose
) p;

GRANT SELECT, INSERT ON profiles.consent_policy TO martlet_consent;
GRANT SELECT ON profiles.consent_policy TO martlet_readers;

-- A refusal of what was never granted; the language that was seen; the version of the policy at that time.
ALTER TABLE ledger_entry DROP CONSTRAINT ledger_entry_action_check;
ALTER TABLE ledger_entry ADD CONSTRAINT ledger_entry_action_check CHECK (action IN ('grant', 'deny', 'withdraw'));
ALTER TABLE ledger_entry ADD COLUMN locale text;
ALTER TABLE ledger_entry ADD COLUMN policy_version bigint;
