package import Models
package import Postgres

/// Appends to one stream inside the caller's transaction.
///
/// The head rows of the shards that are touched stay locked until the transaction ends, always taken in
/// ascending shard order, so offsets are gapless, follow commit order, and two writers never deadlock here.
package struct StreamWriter: Sendable {
    package let definition: StreamDefinition
    private let schema: String

    package init(_ definition: StreamDefinition) {
        self.definition = definition
        schema = definition.publisher.schema
    }

    /// Appends the records, keeping their order within a shard, and returns their offsets in the order given.
    @discardableResult
    package func append(
        _ records: [NewRecord], at now: Instant, in transaction: PostgresTransaction
    ) async throws -> [Int64] {
        guard !records.isEmpty else { return [] }
        var next = try await reserve(
            Dictionary(grouping: records, by: \.shard).mapValues(\.count), in: transaction)
        let offsets = records.map { record -> Int64 in
            let offset = next[record.shard] ?? 1
            next[record.shard] = offset + 1
            return offset
        }
        try await transaction.execute(
            """
            INSERT INTO \(unsafe: definition.table) (shard, "offset", key, recorded_at, traceparent, body)
            SELECT r.shard, r."offset", r.key, \(now)::timestamptz, r.traceparent, r.body
            FROM unnest(\(records.map(\.shard.number))::smallint[], \(offsets)::bigint[],
                        \(records.map(\.key))::text[], \(records.map(\.traceparent))::text[],
                        \(records.map(\.body.compact))::text[])
                 AS r(shard, "offset", key, traceparent, body)
            """)
        return offsets
    }

    /// Reserves offsets for a publisher that inserts rows with further columns itself, and signals the readers.
    ///
    /// Returns the first offset per shard. Every reserved offset must be inserted in the same transaction.
    package func reserve(
        _ counts: [Shard: Int], in transaction: PostgresTransaction
    ) async throws -> [Shard: Int64] {
        let wanted = counts.filter { $0.value > 0 }.sorted { $0.key < $1.key }
        guard !wanted.isEmpty else { return [:] }
        let name = definition.name
        // One statement per shard, in one round trip: the order of locking is then the order written here,
        // which a single set-based UPDATE does not promise.
        let statements: [SQL] = wanted.map { shard, count in
            """
            INSERT INTO \(unsafe: schema).stream_head AS h (stream, shard, next_offset)
            VALUES (\(name), \(shard.number), \(Int64(count) + 1))
            ON CONFLICT (shard, stream) DO UPDATE SET next_offset = h.next_offset + \(Int64(count))
            RETURNING next_offset - \(Int64(count)) AS first
            """
        }
        let replies = try await transaction.pipeline(statements)
        var first: [Shard: Int64] = [:]
        for ((shard, _), rows) in zip(wanted, replies) {
            guard let row = rows.first else { throw StreamError.headMissing(stream: name, shard: shard) }
            first[shard] = try row.get("first", as: Int64.self)
        }
        try await transaction.notify(definition.channel)
        return first
    }
}

/// What can go wrong with a stream itself, apart from the database or the network.
package enum StreamError: Error, Sendable, Hashable {
    /// The head row could not be written; the publisher's migrations have not run.
    case headMissing(stream: String, shard: Shard)
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
