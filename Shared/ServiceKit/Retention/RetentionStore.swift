import Foundation
package import Models
package import Postgres

/// The SQL of sweeps that are under way, and of how far they have come.
package struct RetentionStore: Sendable {
    let schema: String

    package init(schema: String) { self.schema = schema }

    /// A sweep that has let go of something and not come to its end.
    struct Run: Sendable {
        let id: UUID
        let version: Int64
        let boundary: Instant
        let startedAt: Instant
        var rows: Int64

        /// Goes on: neither the policy nor the time has moved since.
        func continues(_ task: RetentionTask, version: Int64) -> Bool {
            self.version == version && boundary == task.boundary
        }
    }

    /// Whether nobody else is at the task until the transaction ends.
    func take(_ task: RetentionTask, in transaction: PostgresTransaction) async throws -> Bool {
        let name = "\(schema).retention \(task.kind.rawValue) \(task.rule ?? "")"
        return try await transaction.query(
            "SELECT pg_try_advisory_xact_lock(hashtextextended(\(name), 0)) AS mine"
        ).first?.get("mine") ?? false
    }

    func run(of task: RetentionTask, in transaction: PostgresTransaction) async throws -> Run? {
        try await transaction.query(
            """
            SELECT run_id, policy_version, boundary, started_at, rows FROM \(unsafe: schema).retention_progress
            WHERE class = \(task.kind.rawValue) AND md5(rule) = md5(\(task.rule ?? ""))
            """
        ).first.map { row in
            Run(
                id: try row.get("run_id"), version: try row.get("policy_version"),
                boundary: try row.get("boundary"), startedAt: try row.get("started_at"),
                rows: try row.get("rows"))
        }
    }

    func keep(_ run: Run, of task: RetentionTask, in transaction: PostgresTransaction) async throws {
        try await transaction.execute(
            """
            INSERT INTO \(unsafe: schema).retention_progress
                (class, rule, run_id, policy_version, boundary, started_at, rows)
            VALUES (\(task.kind.rawValue), \(task.rule ?? ""), \(run.id), \(run.version), \(run.boundary),
                \(run.startedAt), \(run.rows))
            ON CONFLICT (class, md5(rule)) DO UPDATE SET rows = excluded.rows
            """)
    }

    func drop(_ run: Run, in transaction: PostgresTransaction) async throws {
        try await transaction.execute(
            "DELETE FROM \(unsafe: schema).retention_progress WHERE run_id = \(run.id)")
    }

    // MARK: Places in streams

    /// How far a task has gone through each shard of a stream.
    package func places(of task: String, in session: some PostgresSession) async throws -> [Shard: Int64] {
        let rows = try await session.query(
            """
            SELECT shard, "offset" FROM \(unsafe: schema).retention_cursor WHERE task = \(task)
            """)
        return Dictionary(
            uniqueKeysWithValues: try rows.map { (try $0.get("shard"), try $0.get("offset")) })
    }

    package func move(
        _ task: String, to offset: Int64, on shard: Shard, in transaction: PostgresTransaction
    ) async throws {
        try await transaction.execute(
            """
            INSERT INTO \(unsafe: schema).retention_cursor (task, shard, "offset")
            VALUES (\(task), \(shard), \(offset))
            ON CONFLICT (task, shard) DO UPDATE SET "offset" = excluded."offset"
            """)
    }

    /// Forgets how far tasks had come that there are no more.
    package func forgetPlaces(
        of prefix: String, but tasks: [String], in session: some PostgresSession
    ) async throws {
        try await session.execute(
            """
            DELETE FROM \(unsafe: schema).retention_cursor
            WHERE starts_with(task, \(prefix)) AND task <> ALL(\(tasks)::text[])
            """)
    }
}

/// Goes through a stream from where it was left, shard by shard: within one, what came later was recorded later, so that no
/// index is needed.
package struct StreamSweep: Sendable {
    let store: RetentionStore
    let task: String
    let table: String

    package init(_ store: RetentionStore, task: String, table: String) {
        (self.store, self.task, self.table) = (store, task, table)
    }

    /// Has the next records that were there before the boundary dealt with: those of one shard after an offset and up to
    /// another, both told. Done when no shard has any left.
    package func step(
        _ step: RetentionTask.Step, in transaction: PostgresTransaction,
        _ act: (_ shard: Shard, _ after: Int64, _ upTo: Int64) async throws -> Int
    ) async throws -> RetentionTask.Progress {
        let places = try await store.places(of: task, in: transaction)
        let next = try await transaction.query(
            """
            SELECT s.shard FROM unnest(\(Shard.all)::smallint[], \(Shard.all.map { places[$0] ?? 0 })::bigint[])
                AS s (shard, after)
            CROSS JOIN LATERAL (
                SELECT t.recorded_at FROM \(unsafe: table) t
                WHERE t.shard = s.shard AND t."offset" > s.after ORDER BY t."offset" LIMIT 1) r
            WHERE r.recorded_at < \(step.boundary) ORDER BY s.shard LIMIT 1
            """)
        guard let shard = try next.first?.get("shard", as: Shard.self) else {
            return .init(rows: 0, isDone: true)
        }
        let after = places[shard] ?? 0
        let row = try await transaction.query(
            """
            SELECT coalesce(min("offset") FILTER (WHERE recorded_at >= \(step.boundary)) - 1, max("offset")) AS up_to
            FROM (
                SELECT "offset", recorded_at FROM \(unsafe: table)
                WHERE shard = \(shard) AND "offset" > \(after) ORDER BY "offset" LIMIT \(Int64(step.limit))) r
            """
        ).first
        guard let upTo = try row?.get("up_to", as: Int64?.self) else { return .init(rows: 0, isDone: true) }
        let rows = try await act(shard, after, upTo)
        try await store.move(task, to: upTo, on: shard, in: transaction)
        return .init(rows: rows, isDone: false)
    }
}
