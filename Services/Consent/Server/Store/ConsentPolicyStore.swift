import ConsentDomain
import Models
import Postgres

/// The SQL of the versions of the policy.
enum ConsentPolicyStore {
    struct Stored: Sendable {
        let version: Int64
        let body: String
        /// As it was written.
        let source: String
        let createdAt: Instant
        let createdBy: String
    }

    private static let lockName = "martlet.consent.policy"
    private static let columns = SQL(unsafe: "version, body, source, created_at, created_by")

    /// Keeps others from changing the policy until the transaction ends.
    static func lock(in transaction: PostgresTransaction) async throws {
        _ = try await transaction.query("SELECT pg_advisory_xact_lock(hashtextextended(\(lockName), 0))")
    }

    /// The version in force, or one of those that were.
    static func get(_ version: Int64? = nil, in session: some PostgresSession) async throws -> Stored? {
        try await session.query(
            """
            SELECT \(columns) FROM profiles.consent_policy
            WHERE version = coalesce(\(version)::bigint, (SELECT max(version) FROM profiles.consent_policy))
            """
        ).first.map(stored)
    }

    /// A page of the versions, the last first.
    static func page(
        before: Int64?, limit: Int, in session: some PostgresSession
    ) async throws -> [Stored] {
        try await session.query(
            """
            SELECT \(columns) FROM profiles.consent_policy
            WHERE \(before)::bigint IS NULL OR version < \(before)::bigint
            ORDER BY version DESC LIMIT \(Int64(limit))
            """
        ).map(stored)
    }

    /// Adds a version, and has the purposes be what it says that they are. Under `lock`.
    static func add(
        _ policy: ConsentPolicy, source: String, after version: Int64, by author: String, at now: Instant,
        in transaction: PostgresTransaction
    ) async throws -> Stored {
        let stored = Stored(
            version: version + 1, body: policy.json.compact, source: source, createdAt: now,
            createdBy: author)
        try await transaction.execute(
            """
            INSERT INTO profiles.consent_policy (\(columns))
            VALUES (\(stored.version), \(stored.body), \(source), \(now), \(author))
            """)
        for (_, purpose) in policy.purposes.sorted(by: { $0.key < $1.key }) {
            _ = try await PurposeStore.put(purpose, at: now, in: transaction)
        }
        try await transaction.execute(
            "DELETE FROM profiles.purpose WHERE purpose <> ALL(\(policy.purposes.keys.sorted())::text[])")
        return stored
    }

    private static func stored(_ row: PostgresRow) throws -> Stored {
        Stored(
            version: try row.get("version"), body: try row.get("body"), source: try row.get("source"),
            createdAt: try row.get("created_at"), createdBy: try row.get("created_by"))
    }
}
