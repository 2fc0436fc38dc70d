-- How often in a row a deadline could not be fired. Such a one is put off for longer each time, so that it keeps nobody
-- else waiting: `due_at` is when it is tried next, and the state says at what instant it is to fire.
ALTER TABLE deadline ADD COLUMN attempts smallint NOT NULL DEFAULT 0;
CREATE INDEX deadline_put_off ON deadline (shard, profile_id) WHERE attempts > 0;
