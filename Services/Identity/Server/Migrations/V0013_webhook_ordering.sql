-- What an endpoint's events wait for: all that is queued before them, or what is queued before them of the same profile.
-- Endpoints that exist stay as they are.
ALTER TABLE webhook_endpoint ADD COLUMN ordering text NOT NULL DEFAULT 'profile'
    CHECK (ordering IN ('endpoint', 'profile'));
ALTER TABLE webhook_endpoint ALTER COLUMN ordering SET DEFAULT 'endpoint';

-- The line of an endpoint, and the tests, which stand in none.
CREATE INDEX webhook_delivery_line ON webhook_delivery (endpoint_id, sequence)
    WHERE state = 'pending' AND type <> 'webhook.test';
CREATE INDEX webhook_delivery_test ON webhook_delivery (endpoint_id, next_attempt_at)
    WHERE state = 'pending' AND type = 'webhook.test';

ALTER TABLE webhook_delivery DROP CONSTRAINT webhook_delivery_state_check;
ALTER TABLE webhook_delivery ADD CONSTRAINT webhook_delivery_state_check
    CHECK (state IN ('pending', 'delivered', 'failed', 'cancelled'));
