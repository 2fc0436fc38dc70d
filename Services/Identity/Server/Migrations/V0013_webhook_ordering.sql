-- What an endpoint's events wait for: all that is queued before them, or what is queued before them of the same profile.
ALTER TABLE webhook_endpoint ADD COLUMN ordering text NOT NULL DEFAULT 'endpoint'
    CHECK (ordering IN ('endpoint', 'profile'));

-- The line of an endpoint, and the tests, which stand in none.
CREATE INDEX webhook_delivery_line ON webhook_delivery (endpoint_id, sequence)
    WHERE state = 'pending' AND type <> 'webhook.test';
CREATE INDEX webhook_delivery_test ON webhook_delivery (endpoint_id, next_attempt_at)
    WHERE state = 'pending' AND type = 'webhook.test';
