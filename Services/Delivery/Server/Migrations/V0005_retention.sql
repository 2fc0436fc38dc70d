-- What is kept no longer is found by when it was settled.
CREATE INDEX message_settled ON message (updated_at)
    WHERE state IN ('delivered', 'bounced', 'failed', 'suppressed');
