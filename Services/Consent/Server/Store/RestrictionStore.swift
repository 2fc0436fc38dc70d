import Models
import Postgres

/// The SQL of who is kept and not used. Who writes holds the lock of decisions.
enum RestrictionStore {
    static func restrict(
        _ profiles: [ProfileID], for request: PrivacyRequestID, at now: Instant,
        in transaction: PostgresTransaction
    ) async throws {
        try await transaction.execute(
            """
            INSERT INTO profiles.restriction (shard, profile_id, request_id, restricted_at)
            SELECT shard, id, \(request)::uuid, \(now)::timestamptz
            FROM unnest(\(profiles.map { Shard($0) })::smallint[], \(profiles)::uuid[]) AS p(shard, id)
            ON CONFLICT DO NOTHING
            """)
    }

    /// Returns how many profiles it was.
    static func lift(_ request: PrivacyRequestID, in transaction: PostgresTransaction) async throws -> Int {
        try await transaction.execute("DELETE FROM profiles.restriction WHERE request_id = \(request)")
    }

    /// Forgets whom identity has erased. Until then somebody who is restricted stays so.
    static func forget(_ profiles: [ProfileID], in transaction: PostgresTransaction) async throws {
        try await transaction.execute(
            """
            DELETE FROM profiles.restriction r
            USING unnest(\(profiles.map { Shard($0) })::smallint[], \(profiles)::uuid[]) AS k(shard, profile_id)
            WHERE r.shard = k.shard AND r.profile_id = k.profile_id AND NOT EXISTS (
                SELECT FROM profiles.profile p
                WHERE p.shard = r.shard AND p.profile_id = r.profile_id AND p.erased_at IS NULL)
            """)
    }
}
