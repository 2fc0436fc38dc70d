-- The log of API keys is consent's to sweep: what every service's schema has for its own log.
CREATE TABLE platform.audit_anchor (
    shard smallint PRIMARY KEY,
    position bigint NOT NULL,
    hash bytea NOT NULL,
    document text NOT NULL
);
GRANT SELECT ON platform.audit_anchor TO martlet_readers;

CREATE FUNCTION platform.audit_let_go(of_shard smallint, up_to bigint, with_hash bytea, with_document text)
RETURNS bigint LANGUAGE plpgsql SECURITY DEFINER SET search_path = platform, pg_temp AS $$
DECLARE
    gone bigint;
    year_ago timestamptz :=
        coalesce((SELECT c.now FROM platform.clock c JOIN platform.installation i ON i.rehearsal), now())
        - interval '365 days';
BEGIN
    PERFORM FROM audit_head h WHERE h.shard = of_shard FOR UPDATE;
    IF NOT EXISTS (SELECT FROM audit_entry e WHERE e.shard = of_shard AND e.position = up_to AND e.hash = with_hash) THEN
        RAISE EXCEPTION 'no entry of the audit log is there and has this hash';
    END IF;
    IF EXISTS (SELECT FROM audit_entry e WHERE e.shard = of_shard AND e.position <= up_to AND e.at > year_ago) THEN
        RAISE EXCEPTION 'the audit log is kept for a year';
    END IF;
    DELETE FROM audit_entry e WHERE e.shard = of_shard AND e.position <= up_to;
    GET DIAGNOSTICS gone = ROW_COUNT;
    INSERT INTO audit_anchor (shard, position, hash, document) VALUES (of_shard, up_to, with_hash, with_document)
    ON CONFLICT (shard) DO UPDATE SET position = excluded.position, hash = excluded.hash, document = excluded.document;
    RETURN gone;
END $$;
REVOKE EXECUTE ON FUNCTION platform.audit_let_go FROM PUBLIC;
GRANT EXECUTE ON FUNCTION platform.audit_let_go TO martlet_consent;
