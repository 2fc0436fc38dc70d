-- Who sends too many forms is told apart from the others of their network.
ALTER TABLE opt_in ADD COLUMN source_hash bytea;
CREATE INDEX opt_in_source ON opt_in (source_hash, requested_at);
-- What was asked for before by the same form ends when a later request is confirmed. Unknown of requests from before.
ALTER TABLE opt_in ADD COLUMN form_id text;
-- A form that is deleted keeps its version, so that the next one of its name has other words under another one.
ALTER TABLE opt_in_form ADD COLUMN deleted_at timestamptz;
