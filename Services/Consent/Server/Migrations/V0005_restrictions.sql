-- Who is kept and not used (GDPR article 18). The rows stand under every profile that the person had then, so that who is
-- merged into them or parted from them stays restricted until each request is lifted.
CREATE TABLE profiles.restriction (
    shard smallint NOT NULL,
    profile_id uuid NOT NULL,
    request_id uuid NOT NULL,
    restricted_at timestamptz NOT NULL,
    PRIMARY KEY (shard, profile_id, request_id)
);
CREATE INDEX restriction_request ON profiles.restriction (request_id);
GRANT SELECT, INSERT, DELETE ON profiles.restriction TO martlet_consent;
GRANT SELECT ON profiles.restriction TO martlet_readers;
