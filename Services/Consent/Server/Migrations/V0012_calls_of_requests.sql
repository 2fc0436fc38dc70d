-- The keyed mark of the caller and the Idempotency-Key that a request was made by, so that its repetition is known also when the
-- person was erased and the kept answer with them.
ALTER TABLE privacy_request ADD COLUMN call_mark text;
CREATE INDEX privacy_request_call ON privacy_request (call_mark) WHERE call_mark IS NOT NULL;
