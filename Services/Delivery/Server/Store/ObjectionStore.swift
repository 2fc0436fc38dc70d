import Models
import Postgres
import ProfileStore

/// What people said by the link in a mail.
struct ObjectionStore: Sendable {
    /// Records that a person wants no more for a purpose; false when that is what they said last already.
    func add(
        _ profile: ProfileID, of members: [ProfileID], to purpose: String, at now: Instant,
        in transaction: PostgresTransaction
    ) async throws -> Bool {
        // Whoever is sending to them has recorded that before, or sees this.
        try await DecisionLock.take(for: .deciding, of: members, in: transaction)
        let last = try await transaction.query(
            """
            WITH w AS (SELECT * FROM unnest(\(members.map { Shard($0) })::smallint[], \(members)::uuid[])
                       AS w (shard, profile_id))
            SELECT said.state FROM (
                SELECT c.state, c.at FROM w JOIN profiles.consent_state c USING (shard, profile_id)
                WHERE c.purpose = \(purpose)
                UNION ALL
                SELECT 'withdrawn', o.at FROM w JOIN delivery.objection o USING (shard, profile_id)
                WHERE o.purpose = \(purpose)) said
            ORDER BY said.at DESC, said.state DESC LIMIT 1
            """
        ).first?.get("state", as: String.self)
        guard last != "withdrawn" else { return false }
        try await transaction.execute(
            """
            INSERT INTO delivery.objection (shard, profile_id, purpose, at)
            VALUES (\(Shard(profile)), \(profile), \(purpose), \(now))
            ON CONFLICT (shard, profile_id, purpose) DO UPDATE SET at = excluded.at
            """)
        return true
    }

    /// Removes the objections of those whom identity has erased, and returns how many there are of all: the others go on
    /// standing until identity tells of its erasure.
    func forget(_ profiles: [ProfileID], in transaction: PostgresTransaction) async throws -> Int {
        let shards = profiles.map { Shard($0) }
        let count = try await transaction.query(
            """
            SELECT count(*) AS n FROM delivery.objection
            WHERE (shard, profile_id) IN (SELECT * FROM unnest(\(shards)::smallint[], \(profiles)::uuid[]))
            """
        ).first?.get("n", as: Int.self)
        try await transaction.execute(
            """
            DELETE FROM delivery.objection o
            WHERE (o.shard, o.profile_id) IN (SELECT * FROM unnest(\(shards)::smallint[], \(profiles)::uuid[]))
                AND NOT EXISTS (
                    SELECT FROM profiles.profile p
                    WHERE p.shard = o.shard AND p.profile_id = o.profile_id AND p.erased_at IS NULL)
            """)
        return count ?? 0
    }
}
