package import Models
package import Postgres
package import Sealing

/// Appends to one stream inside the caller's transaction.
///
/// The head rows of the shards that are touched stay locked until the transaction ends, always taken in
/// ascending shard order, so offsets are gapless, follow commit order, and two writers never deadlock here.
package struct StreamWriter: Sendable {
    package let definition: StreamDefinition
    private let schema: String
    private let keys: DayKeys?

    /// Without keys bodies are stored as they are, which is for tests alone.
    package init(_ definition: StreamDefinition, sealing keys: DayKeys? = nil) {
        self.keys = keys
        self.definition = definition
        schema = definition.publisher.schema
    }

    /// Appends the records, keeping their order within a shard, and returns their offsets in the order given.
    @discardableResult
    package func append(
        _ records: [NewRecord], at now: Instant, in transaction: PostgresTransaction
    ) async throws -> [Int64] {
        let places = Places(records)
        let key = try await key(at: now)
        let replies = try await transaction.pipeline(
            try statements(appending: records, at: places, now: now, under: key))
        let first = try (replies.first ?? []).map { try $0.get("first", as: Int64.self) }
        guard first.count == places.shards.count else {
            throw StreamError.headMissing(stream: definition.name)
        }
        let heads = Dictionary(uniqueKeysWithValues: zip(places.shards, first))
        return zip(records, places.inShard).map { (heads[$0.shard] ?? 1) + $1 }
    }

    /// The key that records of now are sealed under.
    package func key(at now: Instant) async throws -> DayKey? { try await keys?.key(at: now) }

    /// The statements that append the records, for a caller that sends them together with others.
    package func statements(
        appending records: [NewRecord], at now: Instant, under key: DayKey?
    ) throws -> [SQL] {
        try statements(appending: records, at: Places(records), now: now, under: key)
    }

    private func statements(
        appending records: [NewRecord], at places: Places, now: Instant, under key: DayKey?
    ) throws -> [SQL] {
        if records.isEmpty { return [] }
        let bodies = try records.map { record in
            guard let key, record.sealedAt == nil else { return UTF8Text(record.text) }
            return UTF8Text(try record.sealed(for: definition, at: now, under: key).text)
        }
        return [
            """
            WITH head AS MATERIALIZED (\(heads(places.shards, counts: places.counts))),
            written AS (
                INSERT INTO \(unsafe: definition.table) (shard, "offset", key, recorded_at, traceparent, body)
                SELECT shard, head.first + r.place, r.key, r.recorded_at, r.traceparent, r.body
                FROM unnest(\(binary: records.map(\.shard)), \(binary: places.inShard),
                            \(binary: records.map(\.key)), \(binary: records.map { $0.sealedAt ?? now }),
                            \(binary: records.map(\.traceparent)), \(binary: bodies))
                     AS r(shard, place, key, recorded_at, traceparent, body)
                JOIN head USING (shard))
            SELECT first FROM head ORDER BY shard
            """,
            "SELECT pg_notify(\(definition.channel), '')",
        ]
    }

    /// Reserves offsets for a publisher that inserts rows with further columns itself, and signals the readers.
    ///
    /// Returns the first offset per shard. Every reserved offset must be inserted in the same transaction.
    package func reserve(
        _ counts: [Shard: Int], in transaction: PostgresTransaction
    ) async throws -> [Shard: Int64] {
        let wanted = counts.filter { $0.value > 0 }.sorted { $0.key < $1.key }
        guard !wanted.isEmpty else { return [:] }
        let replies = try await transaction.pipeline([
            heads(wanted.map(\.key), counts: wanted.map { Int64($0.value) }),
            "SELECT pg_notify(\(definition.channel), '')",
        ])
        var first: [Shard: Int64] = [:]
        for row in replies[0] { first[try row.get("shard")] = try row.get("first", as: Int64.self) }
        guard first.count == wanted.count else { throw StreamError.headMissing(stream: definition.name) }
        return first
    }

    /// Reserves the offsets: the shards must be in ascending order, which is the order of locking for everybody.
    private func heads(_ shards: [Shard], counts: [Int64]) -> SQL {
        """
        SELECT * FROM ROWS FROM (unnest(\(binary: shards)), \(unsafe: schema).reserve_offsets(
            \(definition.name), \(binary: shards), \(binary: counts))) AS h(shard, first)
        """
    }

    /// Where records go: the shards that are touched, ascending, with how many records each gets; and the place of each
    /// record among those of its shard.
    private struct Places {
        var shards: [Shard] = []
        var counts: [Int64] = []
        var inShard: [Int64] = []

        init(_ records: [NewRecord]) {
            var counted = [Int64](repeating: 0, count: Shard.count)
            inShard.reserveCapacity(records.count)
            for record in records {
                let shard = Int(record.shard.number)
                inShard.append(counted[shard])
                counted[shard] += 1
            }
            for shard in Shard.all where counted[Int(shard.number)] > 0 {
                shards.append(shard)
                counts.append(counted[Int(shard.number)])
            }
        }
    }
}

/// What can go wrong with a stream itself, apart from the database or the network.
package enum StreamError: Error, Sendable, Hashable {
    /// The head rows could not be written; the publisher's migrations have not run.
    case headMissing(stream: String)
    /// The publisher answered with something that is not a page of the stream.
    case badPage(stream: String, reason: String)
    /// The publisher refused or was away; try again.
    case unavailable(stream: String, status: Int)
    /// Another instance has processed this shard since: the lease was lost.
    case leaseLost(stream: String, shards: [Shard])
}

/// Thrown by a consumer's effects when a thing they need is away for now: the batch is tried again, and no
/// record is put into quarantine for it.
package struct RetryLater: Error, Sendable {
    package let reason: String

    package init(_ reason: String) {
        self.reason = reason
    }
}
