-- What is kept no longer is found by when it ended.
CREATE INDEX instance_ended ON journeys.instance (ended_at) WHERE ended_at IS NOT NULL;
CREATE INDEX instance_history_age ON journeys.instance_history (at);
