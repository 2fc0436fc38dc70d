-- What is said of an intent after it was told, because a merge was undone.
ALTER TABLE journeys.intent
    -- The profile under which it was told first: all that is said of it is in that one's shard of the stream. NULL where
    -- it still belongs to that profile.
    ADD COLUMN stream_profile uuid,
    -- Whose it was said to be last; NULL: as it was told first.
    ADD COLUMN told_profile uuid,
    -- The undone merge because of which it was taken back, until it is asked for again.
    ADD COLUMN withdrawn_by uuid;
CREATE INDEX intent_stream ON journeys.intent (stream_profile) WHERE stream_profile IS NOT NULL;
