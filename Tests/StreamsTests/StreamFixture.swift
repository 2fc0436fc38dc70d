import Logging
import Models
import Postgres
import Streams
import TestSupport

/// A stream of ingestion's in a database of its own, and a ledger of effects that its consumers write.
struct StreamFixture {
    let database: TestDatabase
    let stream = StreamDefinition(name: "events", table: "ingestion.stream_events", publisher: .ingestion)

    static func make() async throws -> StreamFixture {
        StreamFixture(
            database: try await TestDatabase.make([
                Migrator(
                    service: .ingestion,
                    migrations: [
                        Migration(
                            version: 1, name: "V0001_stream",
                            sql: """
                                CREATE TABLE ingestion.stream_events (
                                    shard smallint NOT NULL, "offset" bigint NOT NULL, key text NOT NULL,
                                    recorded_at timestamptz NOT NULL, traceparent text, body text NOT NULL,
                                    PRIMARY KEY (shard, "offset"));
                                """)
                    ]),
                Migrator(
                    service: .identity,
                    migrations: [
                        Migration(
                            version: 1, name: "V0001_effects",
                            sql: """
                                CREATE TABLE identity.effect (
                                    effect_id bigserial PRIMARY KEY, shard smallint NOT NULL,
                                    "offset" bigint NOT NULL, body text NOT NULL);
                                """)
                    ]),
            ]))
    }

    /// Appends bodies under a key, in a transaction of their own.
    func append(_ bodies: [JSON], key: String, pool: PostgresPool) async throws {
        let writer = StreamWriter(stream)
        try await pool.transaction { transaction in
            try await writer.append(
                bodies.map { NewRecord(shard: Shard(hashing: key), key: key, body: $0) },
                at: Instant(milliseconds: 0), in: transaction)
        }
    }

    /// A consumer that records each record as an effect.
    func consumer(
        pool: PostgresPool, reader: (any StreamReader)? = nil, batch: Int = 50, lanes: Int = 1,
        process: StreamConsumer.Process? = nil
    ) -> StreamConsumer {
        StreamConsumer(
            name: "identity", stream: stream, reader: reader ?? DatabaseStreamReader(pool: pool), pool: pool,
            schema: "identity", batch: batch, lanes: lanes, wait: .milliseconds(100),
            now: { Instant(milliseconds: 0) },
            logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() },
            process: process ?? { try await Self.record($0, in: $1) })
    }

    static func record(_ batch: StreamBatch, in transaction: PostgresTransaction) async throws {
        try await transaction.execute(
            """
            INSERT INTO identity.effect (shard, "offset", body)
            SELECT * FROM unnest(\(batch.records.map(\.shard.number))::smallint[],
                \(batch.records.map(\.offset))::bigint[], \(batch.records.map(\.body.compact))::text[])
            """)
    }

    /// What took effect, in the order in which it did.
    func effects(pool: PostgresPool) async throws -> [(shard: Shard, offset: Int64, body: String)] {
        try await pool.query(#"SELECT shard, "offset", body FROM identity.effect ORDER BY effect_id"#).map {
            (
                try $0.get("shard", as: Shard.self), try $0.get("offset", as: Int64.self),
                try $0.get("body", as: String.self)
            )
        }
    }

    /// Nothing missing, nothing twice, each shard in order.
    func effectsAreExactlyTheStream(pool: PostgresPool) async throws -> Bool {
        let stored = try await pool.query(
            #"SELECT shard, "offset", body FROM ingestion.stream_events ORDER BY shard, "offset""#
        ).map {
            "\(try $0.get("shard", as: Int16.self)) \(try $0.get("offset", as: Int64.self)) \(try $0.get("body", as: String.self))"
        }
        let effects = try await effects(pool: pool)
        // Stable: keeps the order in which the records of a shard took effect.
        let byShard = Dictionary(grouping: effects, by: \.shard).sorted { $0.key < $1.key }.flatMap(\.value)
        return byShard.map { "\($0.shard.number) \($0.offset) \($0.body)" } == stored
    }
}

/// Reproducible randomness for tests: SplitMix64 (Steele, Lea, Flood 2014).
struct SeededGenerator: RandomNumberGenerator {
    private var state: UInt64

    init(seed: UInt64) { state = seed }

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var z = state
        z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
        z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
        return z ^ (z >> 31)
    }
}
