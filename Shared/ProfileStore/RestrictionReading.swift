package import Models
package import Postgres

extension ProfileStore {
    /// Whether anybody is: seldom, so that what asks often need not ask of each.
    package func isAnybodyRestricted(in session: some PostgresSession) async throws -> Bool {
        try await session.query("SELECT EXISTS (SELECT FROM profiles.restriction) AS any").first?.get("any")
            ?? false
    }

    /// Those of the profiles that are kept and must not be used (GDPR article 18): whoever is one of a person's makes all of
    /// them so. To be read under the lock of decisions (`DecisionLock`) where an act must not overtake it.
    package func restricted(
        _ profiles: [ProfileID], in session: some PostgresSession
    ) async throws -> Set<ProfileID> {
        guard !profiles.isEmpty else { return [] }
        let rows = try await session.query(
            """
            SELECT DISTINCT r.profile_id
            FROM unnest(\(profiles.map { Shard($0) })::smallint[], \(profiles)::uuid[]) AS w (shard, profile_id)
            JOIN profiles.restriction r USING (shard, profile_id)
            """)
        return Set(try rows.map { try $0.get("profile_id") })
    }
}
