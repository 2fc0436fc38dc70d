package import Models
package import Postgres

/// Deciding about consent and acting by it take turns, shard by shard.
///
/// Locking the row that was read is not enough: whoever has decided nothing has no row, and a merge puts what was decided
/// into another row than the one that somebody waits for. So whoever writes what people decided holds the shards of all
/// profiles of the person until its transaction ends, and whoever acts by it shares them. Read under the lock who the
/// person is, and then what they decided: a withdrawal is then either seen, or acknowledged after the act was recorded.
package enum DecisionLock {
    package enum Use: Sendable {
        case deciding, acting
    }

    private static let lockClass = Int32(truncatingIfNeeded: StableHash.hash64("decisions of people"))

    /// Takes the lock for the profiles until the transaction ends; in ascending order, so that nobody waits in a circle.
    package static func take(
        for use: Use, of profiles: some Sequence<ProfileID>, in transaction: PostgresTransaction
    ) async throws {
        let profiles = Array(profiles)
        guard !profiles.isEmpty else { return }
        _ = try await transaction.query(statement(for: use, of: profiles))
    }

    /// The statement that takes the lock, for a caller that sends it together with others.
    package static func statement(for use: Use, of profiles: some Sequence<ProfileID>) -> SQL {
        let shards = Set(profiles.map { Shard($0) }).sorted()
        let lock: SQL = use == .deciding ? "pg_advisory_xact_lock" : "pg_advisory_xact_lock_shared"
        return """
            SELECT count(\(lock)(\(Self.lockClass)::int, w.shard::int))
            FROM (SELECT shard FROM unnest(\(binary: shards)) AS s (shard) ORDER BY shard) w
            """
    }
}
