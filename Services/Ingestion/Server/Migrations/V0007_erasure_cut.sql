-- Up to where the events of somebody who was erased went with them, by shard: {"17":1234}. What came later is of somebody
-- new. NULL where identity has not said, and then all of them are meant; of the profiles all are meant in any case.
ALTER TABLE erasure_subject ADD COLUMN up_to jsonb;
ALTER TABLE erasure_subject ADD COLUMN profile_ids uuid[] NOT NULL DEFAULT '{}';
