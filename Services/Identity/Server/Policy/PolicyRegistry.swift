import IdentityDomain
import Models
import Postgres
import Streams
import Synchronization

/// The policy in force, read once per version and never older than the transaction that uses it.
final class PolicyRegistry: Sendable {
    /// Resolving transactions hold this lock shared, a change of the policy alone.
    private static let lockName = "martlet.identity.policy"

    private let cached: Mutex<(policy: IdentityPolicy, at: ContinuousClock.Instant)?> = Mutex(nil)

    /// How old the policy may be by which a look-up reads what it is asked for.
    private static let age = Duration.seconds(2)

    /// Keeps everybody from resolving until the transaction ends.
    func lockAlone(in transaction: PostgresTransaction) async throws {
        _ = try await transaction.query("SELECT pg_advisory_xact_lock(hashtextextended(\(Self.lockName), 0))")
    }

    /// The policy for this transaction; until it ends the policy can't change.
    func current(in transaction: PostgresTransaction) async throws -> IdentityPolicy {
        // Two statements, so that the second sees what the first may have waited for.
        let replies = try await transaction.pipeline([
            "SELECT pg_advisory_xact_lock_shared(hashtextextended(\(Self.lockName), 0))",
            "SELECT coalesce(max(version), 0) AS version FROM identity_policy",
        ])
        let version = try replies[1].first?.get("version", as: Int64.self) ?? 0
        return try await policy(version, in: transaction)
    }

    /// The policy as it was a moment ago, for look-ups.
    func latest(in session: some PostgresSession) async throws -> IdentityPolicy {
        if let known = cached.withLock({ $0 }), ContinuousClock.now - known.at < Self.age {
            return known.policy
        }
        let rows = try await session.query("SELECT coalesce(max(version), 0) AS version FROM identity_policy")
        return try await policy(try rows.first?.get("version", as: Int64.self) ?? 0, in: session)
    }

    private func policy(_ version: Int64, in session: some PostgresSession) async throws -> IdentityPolicy {
        if let known = cached.withLock({ $0 }), known.policy.version == version {
            cached.withLock { $0 = (known.policy, .now) }
            return known.policy
        }
        var policy = IdentityPolicy.standard
        if version > 0 {
            guard let stored = try await PolicyStore.get(version, in: session) else {
                throw RetryLater("version \(version) of the identity policy is missing")
            }
            do {
                policy = try PolicyReader.read(Array(stored.source.utf8))
            } catch {
                // It was checked before it was stored, so this is a version of the service that knows less.
                throw RetryLater("the identity policy cannot be read by this version: \(error.detail)")
            }
        }
        policy.version = version
        cached.withLock { $0 = (policy, .now) }
        return policy
    }
}

/// The SQL of policies.
enum PolicyStore {
    struct Stored {
        var version: Int64
        var source: String
        var createdAt: Instant
    }

    static func get(_ version: Int64, in session: some PostgresSession) async throws -> Stored? {
        try await session.query(
            "SELECT version, source, created_at FROM identity_policy WHERE version = \(version)"
        ).first.map(stored)
    }

    /// The one in force; nil where nobody has written one.
    static func latest(in session: some PostgresSession) async throws -> Stored? {
        try await session.query(
            "SELECT version, source, created_at FROM identity_policy ORDER BY version DESC LIMIT 1"
        ).first.map(stored)
    }

    static func add(
        _ version: Int64, source: String, by: String, at instant: Instant, in transaction: PostgresTransaction
    ) async throws {
        try await transaction.execute(
            """
            INSERT INTO identity_policy (version, source, created_at, created_by)
            VALUES (\(version), \(source), \(instant), \(by))
            """)
    }

    private static func stored(_ row: PostgresRow) throws -> Stored {
        Stored(
            version: try row.get("version"), source: try row.get("source"),
            createdAt: try row.get("created_at"))
    }
}
