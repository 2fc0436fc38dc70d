import Models
import Postgres
import RecommendationDomain

/// The SQL of what profiles viewed and put in their carts.
enum InterestStore {
    /// Takes the latest time of each; never goes back.
    static func absorb(
        _ interests: [(profileID: ProfileID, interest: Interest)], in transaction: PostgresTransaction
    ) async throws {
        guard !interests.isEmpty else { return }
        try await transaction.execute(
            """
            INSERT INTO interest AS i (shard, profile_id, sku, viewed_at, added_at, removed_at)
            SELECT * FROM unnest(\(interests.map { Shard($0.profileID) })::smallint[],
                \(interests.map(\.profileID))::uuid[], \(interests.map(\.interest.sku))::text[],
                \(interests.map(\.interest.viewedAt))::timestamptz[],
                \(interests.map(\.interest.addedAt))::timestamptz[],
                \(interests.map(\.interest.removedAt))::timestamptz[])
                AS v(shard, profile_id, sku, viewed_at, added_at, removed_at)
            ORDER BY shard, profile_id, sku
            ON CONFLICT (shard, profile_id, sku) DO UPDATE
            SET viewed_at = greatest(i.viewed_at, excluded.viewed_at),
                added_at = greatest(i.added_at, excluded.added_at),
                removed_at = greatest(i.removed_at, excluded.removed_at)
            """)
    }

    /// The interests of a person's profiles, each sku once.
    static func interests(
        of profiles: [ProfileID], in session: some PostgresSession
    ) async throws -> [Interest] {
        let rows = try await session.query(
            """
            SELECT i.sku, max(i.viewed_at) AS viewed_at, max(i.added_at) AS added_at, max(i.removed_at) AS removed_at
            FROM unnest(\(profiles.map { Shard($0) })::smallint[], \(profiles)::uuid[]) AS k(shard, profile_id)
            JOIN interest i ON i.shard = k.shard AND i.profile_id = k.profile_id
            GROUP BY i.sku ORDER BY i.sku
            """)
        return try rows.map { row in
            Interest(
                sku: try row.get("sku"), viewedAt: try row.get("viewed_at", as: Instant?.self),
                addedAt: try row.get("added_at", as: Instant?.self),
                removedAt: try row.get("removed_at", as: Instant?.self))
        }
    }

    /// Deletes those of the profiles; returns how many.
    static func delete(_ profiles: [ProfileID], in transaction: PostgresTransaction) async throws -> Int {
        try await transaction.execute(
            """
            DELETE FROM interest i
            USING unnest(\(profiles.map { Shard($0) })::smallint[], \(profiles)::uuid[]) AS k(shard, profile_id)
            WHERE i.shard = k.shard AND i.profile_id = k.profile_id
            """)
    }

    /// Deletes those of which nothing has happened since; returns how many.
    static func delete(
        before boundary: Instant, limit: Int, in transaction: PostgresTransaction
    ) async throws -> Int {
        try await transaction.execute(
            """
            DELETE FROM interest WHERE (shard, profile_id, sku) IN (
                SELECT shard, profile_id, sku FROM interest
                WHERE greatest(viewed_at, added_at, removed_at) < \(boundary)
                LIMIT \(Int64(limit)) FOR UPDATE SKIP LOCKED)
            """)
    }
}
