import Models
import Postgres

/// What identity knows of erasures.
enum ErasureReading {
    /// Those of the profiles that are there and are not erased. Identity marks a profile in the transaction that tells of
    /// it, so whoever has read the fact sees the mark.
    static func standing(
        of profiles: [ProfileID], in session: some PostgresSession
    ) async throws -> Set<ProfileID> {
        let rows = try await session.query(
            """
            SELECT p.profile_id
            FROM unnest(\(profiles.map { Shard($0) })::smallint[], \(profiles)::uuid[]) AS w (shard, id)
            JOIN profiles.profile p ON p.shard = w.shard AND p.profile_id = w.id
            WHERE p.erased_at IS NULL
            """)
        return Set(try rows.map { try $0.get("profile_id", as: ProfileID.self) })
    }
}
