import IngestionDomain
import Models
import Postgres

/// The SQL of imports while they are taken in.
enum ImportCheckpointStore {
    /// More mistakes than this are counted, not listed.
    static let listedProblems = 1_000

    /// Moves the checkpoint over a batch, and adds what the batch came to. False, and nothing is changed, when the import
    /// is not running any more, or is not where it was: of two instances with one batch, one commits.
    static func advance(
        _ stored: StoredImport, to lastGroup: Int, readBytes: Int64, took: Duration, counts: ImportCounts,
        problems: [ImportProblem], in transaction: PostgresTransaction
    ) async throws -> Bool {
        let row = try await transaction.query(
            """
            UPDATE import SET groups = \(lastGroup), read_bytes = \(readBytes),
                active_ms = active_ms + \(took.milliseconds), rows_imported = rows_imported + \(counts.rowsImported),
                rows_skipped = rows_skipped + \(counts.rowsSkipped),
                rows_refused = rows_refused + \(counts.rowsRefused), received = received + \(counts.received),
                accepted = accepted + \(counts.accepted), duplicate = duplicate + \(counts.duplicate),
                quarantined = quarantined + \(counts.quarantined), refused = refused + \(counts.refused),
                problems = problems + \(counts.problems)
            WHERE import_id = \(stored.id) AND state = 'running' AND run = \(stored.run)
              AND groups = \(stored.counts.groups)
            RETURNING problems
            """
        ).first
        guard let row else { return false }
        let before = try row.get("problems", as: Int.self) - counts.problems
        try await list(
            problems.prefix(max(0, listedProblems - before)), after: before, of: stored, in: transaction)
        try await add(counts.skipped, of: stored, in: transaction)
        return true
    }

    private static func list(
        _ problems: ArraySlice<ImportProblem>, after number: Int, of stored: StoredImport,
        in transaction: PostgresTransaction
    ) async throws {
        guard !problems.isEmpty else { return }
        let numbers = problems.indices.map { Int64(number + 1 + $0 - problems.startIndex) }
        try await transaction.execute(
            """
            INSERT INTO import_problem (shard, import_id, number, line, kind, reason)
            SELECT \(ImportStore.shard(of: stored.id))::smallint, \(stored.id)::uuid, number, line, kind, reason
            FROM unnest(\(numbers)::bigint[], \(problems.map(\.line))::bigint[],
                \(problems.map(\.kind.rawValue))::text[], \(problems.map(\.reason))::text[])
                AS p (number, line, kind, reason)
            """)
    }

    private static func add(
        _ skipped: [String: ImportCounts.Skipped], of stored: StoredImport,
        in transaction: PostgresTransaction
    ) async throws {
        guard !skipped.isEmpty else { return }
        let ordered = skipped.sorted { $0.key < $1.key }
        try await transaction.execute(
            """
            INSERT INTO import_skip AS s (import_id, reason, groups, rows)
            SELECT \(stored.id)::uuid, reason, groups, rows
            FROM unnest(\(ordered.map(\.key))::text[], \(ordered.map(\.value.groups))::bigint[],
                \(ordered.map(\.value.rows))::bigint[]) AS n (reason, groups, rows)
            ON CONFLICT (import_id, reason)
            DO UPDATE SET groups = s.groups + excluded.groups, rows = s.rows + excluded.rows
            """)
    }

    /// Keeps by how much all times of the file move.
    static func setShift(
        _ shift: Duration, of stored: StoredImport, in session: some PostgresSession
    ) async throws {
        try await session.execute(
            """
            UPDATE import SET shift_ms = \(shift.milliseconds)
            WHERE import_id = \(stored.id) AND run = \(stored.run) AND shift_ms IS NULL
            """)
    }

    /// Ends an import that is where it was; false when it is not.
    static func end(
        _ stored: StoredImport, as state: ImportState, failure: String?, at now: Instant,
        in session: some PostgresSession
    ) async throws -> Bool {
        try await session.execute(
            """
            UPDATE import SET state = \(state.rawValue), failure = \(failure), ended_at = \(now), touched_at = \(now),
                read_bytes = CASE WHEN \(state == .done) THEN stored_bytes ELSE read_bytes END
            WHERE import_id = \(stored.id) AND state = 'running' AND run = \(stored.run)
              AND groups = \(stored.counts.groups)
            """) == 1
    }
}
