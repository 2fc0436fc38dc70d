/// What every service's schema has, for `Streams` and the outbox. Streams' own code is the only one that reads and
/// writes the tables. The versions go down from 0, below those of the service.
enum StandardTables {
    static let migrations = [tables, functions, dayKeys, auditLog, retention, auditAnchor]

    private static let tables = Migration(
        version: 0, name: "standard_tables",
        sql: """
            CREATE TABLE stream_head (
                shard smallint NOT NULL,
                stream text NOT NULL,
                next_offset bigint NOT NULL,
                PRIMARY KEY (shard, stream)
            );

            CREATE TABLE stream_checkpoint (
                shard smallint NOT NULL,
                consumer text NOT NULL,
                stream text NOT NULL,
                "offset" bigint NOT NULL,
                updated_at timestamptz NOT NULL DEFAULT now(),
                PRIMARY KEY (shard, consumer, stream)
            );

            CREATE TABLE stream_quarantine (
                shard smallint NOT NULL,
                consumer text NOT NULL,
                stream text NOT NULL,
                "offset" bigint NOT NULL,
                key text NOT NULL,
                recorded_at timestamptz NOT NULL,
                traceparent text,
                body text NOT NULL,
                error text NOT NULL,
                quarantined_at timestamptz NOT NULL,
                replayed_at timestamptz,
                PRIMARY KEY (shard, consumer, stream, "offset")
            );

            CREATE TABLE outbox (
                outbox_id uuid PRIMARY KEY,
                target text NOT NULL,
                method text NOT NULL,
                path text NOT NULL,
                body text NOT NULL,
                traceparent text,
                attempts integer NOT NULL DEFAULT 0,
                next_attempt_at timestamptz NOT NULL,
                created_at timestamptz NOT NULL,
                last_error text
            );
            CREATE INDEX outbox_next_attempt ON outbox (next_attempt_at);
            """)
    private static let dayKeys = Migration(
        version: -2, name: "standard_day_keys",
        sql: """
            -- The keys that the service seals what it keeps under, one per day in UTC (its number since 1970-01-01), each
            -- wrapped under a key that is not in the database.
            CREATE TABLE day_key (
                day bigint PRIMARY KEY,
                kek_id text NOT NULL,
                wrapped bytea NOT NULL,
                created_at timestamptz NOT NULL DEFAULT now()
            );
            """)
    private static let auditLog = Migration(
        version: -3, name: "standard_audit_log",
        sql: """
            -- Who has read and changed what. Each entry is chained by its hash to the one before of its shard, which is that
            -- of who has asked; the end of a chain is locked while entries are appended to it.
            CREATE TABLE audit_head (
                shard smallint PRIMARY KEY,
                position bigint NOT NULL,
                hash bytea NOT NULL
            );
            CREATE TABLE audit_entry (
                shard smallint NOT NULL,
                position bigint NOT NULL,
                at timestamptz NOT NULL,
                actor text NOT NULL,
                action text NOT NULL,
                route text NOT NULL,
                subjects uuid[] NOT NULL,
                target text,
                reason text,
                outcome text NOT NULL,
                status bigint,
                previous_hash bytea NOT NULL,
                hash bytea NOT NULL,
                PRIMARY KEY (shard, position)
            );
            CREATE INDEX audit_entry_time ON audit_entry (at DESC, shard DESC, position DESC);
            CREATE INDEX audit_entry_actor ON audit_entry (actor, at DESC);
            CREATE INDEX audit_entry_subjects ON audit_entry USING gin (subjects);
            -- Appending is all that the service may do, whatever its code tries.
            DO $$ BEGIN
                EXECUTE format('REVOKE UPDATE, DELETE, TRUNCATE ON audit_entry FROM %I', 'martlet_' || current_schema());
            END $$;
            """)
    private static let retention = Migration(
        version: -4, name: "standard_retention",
        sql: """
            -- Sweeps that have let go of something and not come to their end; what they have done then is told to consent.
            CREATE TABLE retention_progress (
                class text NOT NULL,
                rule text NOT NULL,
                run_id uuid NOT NULL,
                policy_version bigint NOT NULL,
                boundary timestamptz NOT NULL,
                started_at timestamptz NOT NULL,
                rows bigint NOT NULL
            );
            -- Rules are named after the events that they are about, which may be many.
            CREATE UNIQUE INDEX retention_progress_key ON retention_progress (class, md5(rule));
            -- How far they have gone through streams.
            CREATE TABLE retention_cursor (
                task text NOT NULL,
                shard smallint NOT NULL,
                "offset" bigint NOT NULL,
                PRIMARY KEY (task, shard)
            );
            """)
    private static let auditAnchor = Migration(
        version: -5, name: "standard_audit_anchor",
        sql: """
            -- Where what is left of a chain of the audit log begins, after what was kept for long enough was let go of: the position
            -- and hash of the last entry that is gone, in a document that the service has signed.
            CREATE TABLE audit_anchor (
                shard smallint PRIMARY KEY,
                position bigint NOT NULL,
                hash bytea NOT NULL,
                document text NOT NULL
            );
            \(auditLetGo)
            DO $$ BEGIN
                EXECUTE format('REVOKE INSERT, UPDATE, DELETE, TRUNCATE ON audit_anchor FROM %I', 'martlet_' || current_schema());
                -- Nobody's temporary tables stand in for the log.
                EXECUTE format('ALTER FUNCTION audit_let_go SET search_path = %I, pg_temp', current_schema());
                EXECUTE format('GRANT EXECUTE ON FUNCTION audit_let_go TO %I', 'martlet_' || current_schema());
            END $$;
            """)
    /// The one way in which a service, which may only append to its log, takes something away from it: the beginning of a chain, up
    /// to an entry that is there, none of it younger than a year. The clock is that of the installation.
    private static let auditLetGo = """
        CREATE FUNCTION audit_let_go(of_shard smallint, up_to bigint, with_hash bytea, with_document text)
        RETURNS bigint LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
        DECLARE
            gone bigint;
            year_ago timestamptz :=
                coalesce((SELECT c.now FROM platform.clock c JOIN platform.installation i ON i.rehearsal), now())
                - interval '365 days';
        BEGIN
            PERFORM FROM audit_head h WHERE h.shard = of_shard FOR UPDATE;
            IF NOT EXISTS (SELECT FROM audit_entry e WHERE e.shard = of_shard AND e.position = up_to AND e.hash = with_hash)
            THEN
                RAISE EXCEPTION 'no entry of the audit log is there and has this hash';
            END IF;
            IF EXISTS (SELECT FROM audit_entry e WHERE e.shard = of_shard AND e.position <= up_to AND e.at > year_ago) THEN
                RAISE EXCEPTION 'the audit log is kept for a year';
            END IF;
            DELETE FROM audit_entry e WHERE e.shard = of_shard AND e.position <= up_to;
            GET DIAGNOSTICS gone = ROW_COUNT;
            INSERT INTO audit_anchor (shard, position, hash, document)
            VALUES (of_shard, up_to, with_hash, with_document)
            ON CONFLICT (shard) DO UPDATE SET position = excluded.position, hash = excluded.hash,
                document = excluded.document;
            RETURN gone;
        END $$;
        REVOKE EXECUTE ON FUNCTION audit_let_go FROM PUBLIC;
        """
    private static let functions = Migration(
        version: -1, name: "standard_functions",
        sql: """
            -- Reserves offsets of a stream, `counts[i]` in `shards[i]`, and returns the first of each in their order.
            -- The head rows are locked one by one, in the order given, which a single UPDATE does not promise.
            CREATE FUNCTION reserve_offsets(of_stream text, shards smallint[], counts bigint[]) RETURNS SETOF bigint
            LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
            DECLARE
                first bigint;
            BEGIN
                FOR i IN 1..cardinality(shards) LOOP
                    UPDATE stream_head SET next_offset = next_offset + counts[i]
                    WHERE shard = shards[i] AND stream = of_stream
                    RETURNING next_offset - counts[i] INTO first;
                    IF NOT FOUND THEN
                        INSERT INTO stream_head AS h (shard, stream, next_offset)
                        VALUES (shards[i], of_stream, counts[i] + 1)
                        ON CONFLICT (shard, stream) DO UPDATE SET next_offset = h.next_offset + counts[i]
                        RETURNING next_offset - counts[i] INTO first;
                    END IF;
                    RETURN NEXT first;
                END LOOP;
            END $$;
            """)
}
