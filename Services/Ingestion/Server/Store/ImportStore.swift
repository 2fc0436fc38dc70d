import Foundation
import IngestionDomain
import Models
import Postgres

/// The SQL of imports.
struct ImportStore: Sendable {
    /// Signalled when an import is to be taken in.
    static let channel = "ingestion_import"

    let pool: PostgresPool

    /// Adds an import; nil when there is no such source. The import that was made under its idempotency key before is
    /// returned instead, with the digest of the request that made it.
    func create(
        _ new: StoredImport, digest: Data
    ) async throws -> (stored: StoredImport, digest: Data?)? {
        let added = try await pool.query(
            """
            INSERT INTO import (import_id, source_id, name, format, mapping, expected_bytes, shift_to_now, state,
                created_at, touched_at, idempotency_key, request_digest)
            SELECT \(new.id)::uuid, source_id, \(new.name)::text, \(new.format.rawValue)::text,
                \(new.mapping?.compact)::text, \(new.expectedBytes)::bigint, \(new.shiftToNow)::boolean, 'draft',
                \(new.createdAt)::timestamptz, \(new.createdAt)::timestamptz, \(new.idempotencyKey)::text,
                \(digest)::bytea
            FROM source WHERE source_id = \(new.sourceID)
            ON CONFLICT (idempotency_key) DO NOTHING
            RETURNING \(StoredImport.columns), request_digest
            """
        ).first
        if let added { return (try StoredImport(added), digest) }
        guard let key = new.idempotencyKey,
            let made = try await pool.query(
                "SELECT \(StoredImport.columns), request_digest FROM import WHERE idempotency_key = \(key)"
            ).first
        else { return nil }
        return (try StoredImport(made), try made.get("request_digest", as: Data?.self))
    }

    func get(_ id: ImportID) async throws -> StoredImport? {
        try await Self.get(id, in: pool, lock: "")
    }

    /// The import, locked until the transaction ends.
    static func lock(_ id: ImportID, in transaction: PostgresTransaction) async throws -> StoredImport? {
        try await get(id, in: transaction, lock: "FOR UPDATE")
    }

    private static func get(
        _ id: ImportID, in session: some PostgresSession, lock: SQL
    ) async throws -> StoredImport? {
        try await session.query(
            "SELECT \(StoredImport.columns) FROM import WHERE import_id = \(id) \(lock)"
        ).first.map(StoredImport.init)
    }

    /// The imports after `after`, newest first.
    func list(
        source: SourceID?, state: ImportState?, after: ImportID?, limit: Int
    ) async throws -> [StoredImport] {
        let isFirst = after == nil
        return try await pool.query(
            """
            SELECT \(StoredImport.columns) FROM import
            WHERE (\(isFirst) OR import_id < \(after)::uuid)
              AND (\(source)::uuid IS NULL OR source_id = \(source)::uuid)
              AND (\(state?.rawValue)::text IS NULL OR state = \(state?.rawValue)::text)
            ORDER BY import_id DESC LIMIT \(Int64(limit))
            """
        ).map(StoredImport.init)
    }

    /// The imports that are to be taken in, oldest first.
    func running() async throws -> [ImportID] {
        try await pool.query("SELECT import_id FROM import WHERE state = 'running' ORDER BY import_id").map {
            try $0.get("import_id")
        }
    }

    // MARK: What its maker does

    static func setMapping(
        _ mapping: JSON, of stored: StoredImport, at now: Instant, in transaction: PostgresTransaction
    ) async throws {
        try await transaction.execute(
            """
            UPDATE import SET mapping = \(mapping.compact), version = version + 1, state = 'draft', failure = NULL,
                touched_at = \(now)
            WHERE import_id = \(stored.id)
            """)
    }

    /// Stores the state that an action has led to.
    static func setState(
        _ state: ImportState, of stored: StoredImport, at now: Instant, in transaction: PostgresTransaction
    ) async throws {
        try await transaction.execute(
            """
            UPDATE import SET state = \(state.rawValue), touched_at = \(now),
                started_at = coalesce(started_at, CASE WHEN \(state == .running) THEN \(now)::timestamptz END),
                ended_at = CASE WHEN \(state.isEnded) THEN \(now)::timestamptz END
            WHERE import_id = \(stored.id)
            """)
        if state == .running { try await transaction.notify(channel) }
    }

    /// Makes it begin with the first row, whatever was done before: what was taken in then is a duplicate now.
    static func restart(
        _ stored: StoredImport, in transaction: PostgresTransaction
    ) async throws {
        try await transaction.execute(
            """
            UPDATE import SET run = run + 1, groups = 0, active_ms = 0, read_bytes = 0, rows_imported = 0,
                rows_skipped = 0, rows_refused = 0, received = 0, accepted = 0, duplicate = 0, quarantined = 0,
                refused = 0, problems = 0, failure = NULL, shift_ms = NULL, started_at = NULL
            WHERE import_id = \(stored.id)
            """)
        try await transaction.execute("DELETE FROM import_skip WHERE import_id = \(stored.id)")
        try await deleteProblems(of: stored.id, in: transaction)
    }

    private static func deleteProblems(
        of id: ImportID, in transaction: PostgresTransaction
    ) async throws {
        try await transaction.execute(
            "DELETE FROM import_problem WHERE shard = \(shard(of: id)) AND import_id = \(id)")
    }

    static func delete(_ id: ImportID, in transaction: PostgresTransaction) async throws {
        try await deleteProblems(of: id, in: transaction)
        try await transaction.execute(
            "DELETE FROM import_chunk WHERE shard = \(shard(of: id)) AND import_id = \(id)")
        try await transaction.execute("DELETE FROM import WHERE import_id = \(id)")
    }

    /// Where the rows of an import are.
    static func shard(of id: ImportID) -> Shard { Shard(hashing: id.description) }

    // MARK: The report

    func skipped(_ id: ImportID) async throws -> [(reason: String, groups: Int, rows: Int)] {
        try await pool.query(
            "SELECT reason, groups, rows FROM import_skip WHERE import_id = \(id) ORDER BY reason COLLATE \"C\""
        ).map { (try $0.get("reason"), try $0.get("groups"), try $0.get("rows")) }
    }

    /// The mistakes by their lines, after the one of a line and a number.
    func problems(
        of id: ImportID, after: (line: Int64, number: Int64), limit: Int
    ) async throws -> [(number: Int64, problem: ImportProblem)] {
        try await pool.query(
            """
            SELECT number, line, kind, reason FROM import_problem
            WHERE shard = \(Self.shard(of: id)) AND import_id = \(id) AND (line, number) > (\(after.line), \(after.number))
            ORDER BY line, number LIMIT \(Int64(limit))
            """
        ).map { row in
            (
                try row.get("number"),
                ImportProblem(
                    line: try row.get("line"),
                    kind: ImportProblem.Kind(rawValue: try row.get("kind")) ?? .row,
                    reason: try row.get("reason"))
            )
        }
    }
}
