package import Models
package import Postgres
package import Sealing

/// What a stream has told about some keys, for the publisher's requests of access and erasure.
package struct StreamHistory: Sendable {
    package let definition: StreamDefinition
    private let days: DayKeys

    /// A stream whose bodies are sealed under the publisher's keys.
    package init(_ definition: StreamDefinition, sealing days: DayKeys) {
        self.definition = definition
        self.days = days
    }

    private struct Row {
        let shard: Shard
        let offset: Int64
        let key: String
        let recordedAt: Instant
        let body: JSON?
    }

    /// The bodies of all records of these keys, by shard and offset; without those whose keys were destroyed.
    package func bodies(of keys: [(shard: Shard, key: String)], in session: some PostgresSession) async throws
        -> [JSON]
    {
        try await rows(of: keys, in: session).compactMap(\.body)
    }

    /// Rewrites the bodies of all records of these keys, and forgets what requests they came from. Offsets must stay
    /// without gaps, so a record that is to tell nothing stays as what `change` leaves of it. Returns how many there are.
    @discardableResult
    package func rewrite(
        _ keys: [(shard: Shard, key: String)], at now: Instant, in transaction: PostgresTransaction,
        _ change: (JSON) -> JSON
    ) async throws -> Int {
        let rows = try await rows(of: keys, in: transaction)
        guard !rows.isEmpty else { return 0 }
        let key = try await days.key(at: now)
        let bodies = try rows.map { row in
            let place = StreamBodies.place(
                in: definition, shard: row.shard, key: row.key, recordedAt: row.recordedAt)
            return try key.seal(change(row.body ?? [:]).compact, at: place)
        }
        return try await transaction.execute(
            """
            UPDATE \(unsafe: definition.table) s SET body = w.body, traceparent = NULL
            FROM unnest(\(binary: rows.map(\.shard)), \(binary: rows.map(\.offset)), \(binary: bodies))
                 AS w (shard, place, body)
            WHERE s.shard = w.shard AND s."offset" = w.place
            """)
    }

    /// Rewrites the bodies of the records of a shard after an offset and up to another, for which `change` has another one, and
    /// returns how many those are. The rest stays as it is, also what can't be opened any more.
    package func rewrite(
        _ shard: Shard, after: Int64, upTo: Int64, at now: Instant, in transaction: PostgresTransaction,
        _ change: (JSON) -> JSON?
    ) async throws -> Int {
        let found = try await transaction.query(
            """
            SELECT shard, "offset", key, recorded_at, body FROM \(unsafe: definition.table)
            WHERE shard = \(shard) AND "offset" > \(after) AND "offset" <= \(upTo) ORDER BY "offset"
            """)
        let key = try await days.key(at: now)
        var (offsets, bodies): ([Int64], [String]) = ([], [])
        for row in try await opened(found) {
            guard let changed = row.body.flatMap(change) else { continue }
            let place = StreamBodies.place(
                in: definition, shard: row.shard, key: row.key, recordedAt: row.recordedAt)
            offsets.append(row.offset)
            bodies.append(try key.seal(changed.compact, at: place))
        }
        guard !offsets.isEmpty else { return 0 }
        return try await transaction.execute(
            """
            UPDATE \(unsafe: definition.table) s SET body = w.body, traceparent = NULL
            FROM unnest(\(binary: offsets), \(binary: bodies)) AS w (place, body)
            WHERE s.shard = \(shard) AND s."offset" = w.place
            """)
    }

    private func rows(
        of keys: [(shard: Shard, key: String)], in session: some PostgresSession
    ) async throws -> [Row] {
        let found = try await session.query(
            """
            SELECT s.shard, s."offset", s.key, s.recorded_at, s.body
            FROM unnest(\(binary: keys.map(\.shard)), \(binary: keys.map(\.key))) AS w (shard, key)
            JOIN \(unsafe: definition.table) s ON s.shard = w.shard AND s.key = w.key
            ORDER BY s.shard, s."offset"
            """)
        return try await opened(found)
    }

    private func opened(_ found: [PostgresRow]) async throws -> [Row] {
        var rows: [Row] = []
        for row in found {
            let shard: Shard = try row.get("shard")
            let key: String = try row.get("key")
            let recordedAt: Instant = try row.get("recorded_at")
            let text = try await days.open(
                try row.get("body", as: String.self),
                at: StreamBodies.place(in: definition, shard: shard, key: key, recordedAt: recordedAt))
            rows.append(
                Row(
                    shard: shard, offset: try row.get("offset"), key: key, recordedAt: recordedAt,
                    body: try text.map { try JSONParser.parse(Array($0.utf8)[...]) }))
        }
        return rows
    }
}
