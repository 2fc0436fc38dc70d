-- What all services share: the installation itself, its clock when it is a rehearsal, and the API keys.
CREATE SCHEMA IF NOT EXISTS profiles;
GRANT USAGE ON SCHEMA profiles, platform TO martlet_readers;

CREATE TABLE platform.installation (
    singleton boolean PRIMARY KEY DEFAULT true CHECK (singleton),
    installation_id uuid NOT NULL DEFAULT gen_random_uuid(),
    rehearsal boolean NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now()
);

-- One row in a rehearsal, none elsewhere: time there moves only when `martlet clock advance` says so.
CREATE TABLE platform.clock (
    singleton boolean PRIMARY KEY DEFAULT true CHECK (singleton),
    now timestamptz NOT NULL
);

CREATE TABLE platform.api_key (
    key_id uuid PRIMARY KEY,
    name text NOT NULL,
    -- SHA-256 of the whole key: it is random and long, so a slow hash would add nothing.
    secret_hash bytea NOT NULL UNIQUE,
    scopes text[] NOT NULL,
    created_at timestamptz NOT NULL,
    expires_at timestamptz,
    revoked_at timestamptz,
    replaces uuid REFERENCES platform.api_key (key_id)
);

GRANT SELECT ON platform.installation, platform.clock, platform.api_key TO martlet_readers;
