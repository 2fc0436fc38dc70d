import Foundation
import Models
import Postgres

/// The SQL of the versions of the retention policy, and of what was let go of by them.
enum RetentionPolicyStore {
    struct Stored: Sendable {
        let version: Int64
        let body: String
        /// As it was written.
        let source: String
        let createdAt: Instant
        let createdBy: String
    }

    private static let lockName = "martlet.retention.policy"
    private static let columns = SQL(unsafe: "version, body, source, created_at, created_by")

    /// Keeps others from changing the policy until the transaction ends.
    static func lock(in transaction: PostgresTransaction) async throws {
        _ = try await transaction.query("SELECT pg_advisory_xact_lock(hashtextextended(\(lockName), 0))")
    }

    /// The version in force, or one of those that were.
    static func get(_ version: Int64? = nil, in session: some PostgresSession) async throws -> Stored? {
        try await session.query(
            """
            SELECT \(columns) FROM profiles.retention_policy
            WHERE version = coalesce(\(version)::bigint, (SELECT max(version) FROM profiles.retention_policy))
            """
        ).first.map { row in
            Stored(
                version: try row.get("version"), body: try row.get("body"), source: try row.get("source"),
                createdAt: try row.get("created_at"), createdBy: try row.get("created_by"))
        }
    }

    /// Adds a version. Under `lock`.
    static func add(
        _ policy: RetentionPolicy, source: String, after version: Int64, by author: String, at now: Instant,
        in transaction: PostgresTransaction
    ) async throws -> Stored {
        let stored = Stored(
            version: version + 1, body: policy.json.compact, source: source, createdAt: now,
            createdBy: author)
        try await transaction.execute(
            """
            INSERT INTO profiles.retention_policy (\(columns))
            VALUES (\(stored.version), \(stored.body), \(source), \(now), \(author))
            """)
        return stored
    }

    // MARK: Runs

    /// What a service has let go of, up to a boundary.
    struct Run: Sendable {
        let id: UUID
        let service: ServiceName
        let kind: RetentionClass
        let rule: String?
        let policyVersion: Int64
        let boundary: Instant
        let rows: Int64
        let startedAt: Instant
        let endedAt: Instant
    }

    /// Records a run, once.
    static func record(_ run: Run, in session: some PostgresSession) async throws {
        try await session.execute(
            """
            INSERT INTO retention_run
                (run_id, service, class, rule, policy_version, boundary, rows, started_at, ended_at)
            VALUES (\(run.id), \(run.service.rawValue), \(run.kind.rawValue), \(run.rule), \(run.policyVersion),
                \(run.boundary), \(run.rows), \(run.startedAt), \(run.endedAt))
            ON CONFLICT (run_id) DO NOTHING
            """)
    }

    /// A page of runs, the latest first.
    static func runs(
        of kind: RetentionClass?, before place: (endedAt: Instant, id: UUID)?, limit: Int,
        in session: some PostgresSession
    ) async throws -> [Run] {
        try await session.query(
            """
            SELECT run_id, service, class, rule, policy_version, boundary, rows, started_at, ended_at FROM retention_run
            WHERE (\(kind?.rawValue)::text IS NULL OR class = \(kind?.rawValue)::text)
                AND (\(place == nil)::boolean
                    OR (ended_at, run_id) < (\(place?.endedAt)::timestamptz, \(place?.id)::uuid))
            ORDER BY ended_at DESC, run_id DESC LIMIT \(Int64(limit))
            """
        ).map { row in
            guard let kind = RetentionClass(rawValue: try row.get("class")) else {
                throw PostgresError.decoding(column: "class", message: "is no class of data")
            }
            return Run(
                id: try row.get("run_id"), service: try row.get("service"), kind: kind,
                rule: try row.get("rule"), policyVersion: try row.get("policy_version"),
                boundary: try row.get("boundary"), rows: try row.get("rows"),
                startedAt: try row.get("started_at"), endedAt: try row.get("ended_at"))
        }
    }
}
