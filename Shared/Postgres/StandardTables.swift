/// The tables that every service's schema has, for `Streams` and the outbox. Streams' own code is the only one that
/// reads and writes them.
enum StandardTables {
    static let migration = Migration(
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
}
