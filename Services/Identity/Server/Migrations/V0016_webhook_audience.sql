-- Whom an endpoint was told of, or kept from, in deliveries that are gone by their age: who was told of somebody has to be told
-- of their erasure however long ago that was (GDPR article 19), and who was only kept from them must not hear of them by it.
-- The shard is that of the endpoint, as of its deliveries. Nothing but ids; the rows of a person go with their erasure.
CREATE TABLE webhook_audience (
    shard smallint NOT NULL,
    endpoint_id uuid NOT NULL REFERENCES webhook_endpoint ON DELETE CASCADE,
    profile_id uuid NOT NULL,
    -- False where it was only kept from them.
    was_told boolean NOT NULL,
    PRIMARY KEY (shard, endpoint_id, profile_id)
);
CREATE INDEX webhook_audience_profile ON webhook_audience (profile_id);
