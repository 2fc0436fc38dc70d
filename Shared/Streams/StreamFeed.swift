package import Logging
package import Models
package import Postgres
package import Sealing

/// Serves one stream to its readers: what `GET /v1/streams/{stream}` answers with.
package struct StreamFeed: Sendable {
    package let definition: StreamDefinition
    private let pool: PostgresPool
    private let hub: WakeHub
    private let vault: Vault?
    private let logger: Logger?

    /// Without a vault bodies are served as they are stored, which is for tests alone.
    package init(
        _ definition: StreamDefinition, pool: PostgresPool, hub: WakeHub, vault: Vault? = nil,
        logger: Logger? = nil
    ) {
        self.vault = vault
        self.logger = logger
        self.definition = definition
        self.pool = pool
        self.hub = hub
    }

    /// The last offset of each shard; shards that were never appended to are absent.
    package func heads() async throws -> [Shard: Int64] {
        try await StreamHeads.read(definition, pool: pool)
    }

    /// Records after the given positions, as NDJSON lines in ascending offset per shard.
    ///
    /// Waits up to `wait` for the first record; the answer is empty when none came. With several shards behind,
    /// each gets an equal part of `limit`, so that a long one does not hold up the others.
    package func lines(after positions: [Shard: Int64], limit: Int, wait: Duration) async throws -> [UInt8] {
        let deadline = ContinuousClock.now + wait
        while true {
            let ticket = await hub.ticket([definition.channel])
            let heads = try await heads()
            let behind = positions.filter { (heads[$0.key] ?? 0) > $0.value }.sorted { $0.key < $1.key }
            if !behind.isEmpty { return try await read(behind, limit: limit) }
            let left = deadline - ContinuousClock.now
            guard left > .zero, !Task.isCancelled else { return [] }
            await hub.wait(ticket, upTo: left)
        }
    }

    private func read(_ behind: [(key: Shard, value: Int64)], limit: Int) async throws -> [UInt8] {
        let rows = try await StreamPageQuery.rows(
            definition, after: behind, perShard: max(1, limit / behind.count), pool: pool)
        let bodies = try await StreamBodies.open(
            rows, of: definition, vault: vault, in: pool, logger: logger)
        var bytes: [UInt8] = []
        bytes.reserveCapacity(rows.count * 512)
        for (row, body) in zip(rows, bodies) {
            bytes.append(contentsOf: #"{"shard":"#.utf8)
            bytes.append(contentsOf: String(try row.get("shard", as: Int16.self)).utf8)
            bytes.append(contentsOf: #","offset":"#.utf8)
            bytes.append(contentsOf: String(try row.get("offset", as: Int64.self)).utf8)
            bytes.append(contentsOf: #","key":"#.utf8)
            JSON.string(try row.get("key", as: String.self)).write(into: &bytes)
            bytes.append(contentsOf: #","recordedAt":""#.utf8)
            bytes.append(contentsOf: try row.get("recorded_at", as: Instant.self).rfc3339.utf8)
            bytes.append(UInt8(ascii: "\""))
            if let traceparent = try row.get("traceparent", as: String?.self) {
                bytes.append(contentsOf: #","traceparent":"#.utf8)
                JSON.string(traceparent).write(into: &bytes)
            }
            // The stored body is JSON text already: it is spliced in, not parsed and printed again.
            bytes.append(contentsOf: #","body":"#.utf8)
            bytes.append(contentsOf: body.utf8)
            bytes.append(contentsOf: "}\n".utf8)
        }
        return bytes
    }
}

/// The last offsets of a stream, from the publisher's head rows.
enum StreamHeads {
    static func read(_ definition: StreamDefinition, pool: PostgresPool) async throws -> [Shard: Int64] {
        let rows = try await pool.query(
            """
            SELECT shard, next_offset - 1 AS head FROM \(unsafe: definition.publisher.schema).stream_head
            WHERE stream = \(definition.name)
            """)
        return try Dictionary(
            rows.map { (try $0.get("shard", as: Shard.self), try $0.get("head", as: Int64.self)) },
            uniquingKeysWith: max)
    }
}

/// One page of several shards in one statement.
enum StreamPageQuery {
    static func rows(
        _ definition: StreamDefinition, after: [(key: Shard, value: Int64)], perShard: Int, pool: PostgresPool
    ) async throws -> [PostgresRow] {
        let owner: SQL = definition.sealing == .profile ? ", r.profile_id" : ""
        return try await pool.query(
            """
            SELECT r.shard, r."offset", r.key, r.recorded_at, r.traceparent, r.body\(owner)
            FROM unnest(\(after.map(\.key.number))::smallint[], \(after.map(\.value))::bigint[])
                 AS p(shard, position)
            CROSS JOIN LATERAL (
                SELECT * FROM \(unsafe: definition.table) t
                WHERE t.shard = p.shard AND t."offset" > p.position
                ORDER BY t."offset" LIMIT \(Int64(perShard))
            ) r
            ORDER BY r.shard, r."offset"
            """)
    }
}
