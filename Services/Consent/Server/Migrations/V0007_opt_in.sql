-- Forms by which people ask for something, and say once more by the link in a mail that it was they.
CREATE TABLE opt_in_form (
    form_id text PRIMARY KEY,
    version bigint NOT NULL,
    body text NOT NULL,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL
);

-- What was asked for by a form and not yet confirmed. Kept until it expires, also when it was confirmed or no mail went out:
-- by how much there is of an address or a network it is known when it is too much.
CREATE TABLE opt_in (
    shard smallint NOT NULL,
    opt_in_id uuid NOT NULL,
    -- Keyed hashes.
    address_hash bytea NOT NULL,
    network_hash bytea NOT NULL,
    requested_at timestamptz NOT NULL,
    expires_at timestamptz NOT NULL,
    -- Of the secret in the mail; none where no mail went out, or the secret was used.
    digest bytea,
    -- The address, what was seen, and from where; sealed.
    detail text,
    -- Whether a mail went out.
    is_mailed boolean NOT NULL,
    PRIMARY KEY (shard, opt_in_id)
);
CREATE INDEX opt_in_address ON opt_in (address_hash, requested_at);
CREATE INDEX opt_in_network ON opt_in (network_hash, requested_at);
