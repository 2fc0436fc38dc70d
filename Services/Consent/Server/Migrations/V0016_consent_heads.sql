-- How far the ledger of each shard has come, for whoever keeps what somebody has said in memory: it is as it was while these
-- are as they were. Runs with the rights of its owner; the hashes are nobody else's matter.
CREATE VIEW profiles.consent_head AS SELECT shard, position FROM ledger_head;

GRANT SELECT ON profiles.consent_head TO martlet_readers;
