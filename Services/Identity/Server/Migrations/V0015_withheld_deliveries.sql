-- What the consent policy keeps from a destination; and by which consents it was told, or why not.
ALTER TABLE webhook_delivery DROP CONSTRAINT webhook_delivery_state_check;
ALTER TABLE webhook_delivery ADD CONSTRAINT webhook_delivery_state_check
    CHECK (state IN ('pending', 'delivered', 'failed', 'cancelled', 'withheld'));
ALTER TABLE webhook_delivery ADD COLUMN consent jsonb;
