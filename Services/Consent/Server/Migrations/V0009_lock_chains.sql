-- Locks the chains of shards, one by one in the order given, which a single statement over all of them does not promise;
-- a chain that has not begun begins with its genesis.
CREATE FUNCTION lock_chains(shards smallint[], geneses bytea[])
RETURNS TABLE (shard smallint, "position" bigint, hash bytea)
LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
#variable_conflict use_column
BEGIN
    FOR i IN 1..cardinality(shards) LOOP
        RETURN QUERY SELECT h.shard, h.position, h.hash FROM ledger_head h WHERE h.shard = shards[i] FOR UPDATE;
        IF NOT FOUND THEN
            RETURN QUERY INSERT INTO ledger_head AS h (shard, position, hash) VALUES (shards[i], 0, geneses[i])
                ON CONFLICT (shard) DO UPDATE SET position = h.position
                RETURNING h.shard, h.position, h.hash;
        END IF;
    END LOOP;
END $$;
