-- How often what stands in a shard has changed without an entry in the ledger: where people were joined or parted, and
-- where somebody was erased. It names nobody.
CREATE TABLE consent_change (
    shard smallint PRIMARY KEY,
    changes bigint NOT NULL
);

-- What moves on with each change of what stands in a shard, for whoever keeps what somebody has said in memory: that is as
-- it was while this is as it was. It is read with the rights of its owner; the hashes are nobody else's matter.
CREATE VIEW profiles.consent_head AS
SELECT h.shard, h.position + coalesce(c.changes, 0) AS position
FROM ledger_head h LEFT JOIN consent_change c USING (shard);

GRANT SELECT ON profiles.consent_head TO martlet_readers;
