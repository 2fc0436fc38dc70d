package import Models
package import Postgres

/// A merge that stands.
package struct StandingMerge: Hashable, Sendable {
    package var id: MergeID
    /// The canonical profiles that it joins.
    package var survivor: ProfileID
    package var merged: ProfileID
    package var at: Instant
}

/// Where a profile stands now.
package struct ProfileStanding: Hashable, Sendable {
    package var canonicalID: ProfileID
    package var isErased: Bool
}

// For those who keep a view of their own of who is one person. A merge or its undoing is committed with the facts that
// tell of it, so whoever has read such a fact finds at least that here.
extension ProfileStore {
    /// Where profiles stand; those that identity doesn't know are left out.
    package func standings(
        of ids: some Collection<ProfileID>, in session: some PostgresSession
    ) async throws -> [ProfileID: ProfileStanding] {
        guard !ids.isEmpty else { return [:] }
        return try Self.standings(
            try await session.query(
                """
                SELECT p.profile_id, p.canonical_id, p.erased_at IS NOT NULL AS is_erased
                FROM unnest(\(binary: ids.map { Shard($0) }), \(binary: Array(ids))) AS w (shard, id)
                JOIN profiles.profile p ON p.shard = w.shard AND p.profile_id = w.id
                """))
    }

    /// The same of everybody who is one person with one of them.
    package func standings(
        ofAllWith ids: some Collection<ProfileID>, in session: some PostgresSession
    ) async throws -> [ProfileID: ProfileStanding] {
        guard !ids.isEmpty else { return [:] }
        return try Self.standings(
            try await session.query(
                """
                SELECT m.profile_id, m.canonical_id, m.erased_at IS NOT NULL AS is_erased
                FROM (
                    SELECT DISTINCT p.canonical_id
                    FROM unnest(\(binary: ids.map { Shard($0) }), \(binary: Array(ids))) AS w (shard, id)
                    JOIN profiles.profile p ON p.shard = w.shard AND p.profile_id = w.id
                ) c
                JOIN profiles.profile m ON m.canonical_id = c.canonical_id
                """))
    }

    private static func standings(_ rows: [PostgresRow]) throws -> [ProfileID: ProfileStanding] {
        var standings: [ProfileID: ProfileStanding] = [:]
        for row in rows {
            standings[try row.get("profile_id")] = ProfileStanding(
                canonicalID: try row.get("canonical_id"), isErased: try row.get("is_erased"))
        }
        return standings
    }

    /// The merges that stand among profiles, in the order in which they were decided.
    package func standingMerges(
        among ids: some Collection<ProfileID>, in session: some PostgresSession
    ) async throws -> [StandingMerge] {
        guard ids.count > 1 else { return [] }
        return try await session.query(
            """
            SELECT m.merge_id, m.survivor_id, m.merged_id, m.at FROM profiles.merge m
            WHERE m.merged_id = ANY(\(binary: Array(ids))) AND m.undone_at IS NULL
            ORDER BY m.ordinal
            """
        ).map { row in
            StandingMerge(
                id: try row.get("merge_id"), survivor: try row.get("survivor_id"),
                merged: try row.get("merged_id"), at: try row.get("at"))
        }
    }

    /// The merge that was undone last of those that had joined one of the profiles to somebody.
    package func lastUndoneMerge(
        of ids: some Collection<ProfileID>, in session: some PostgresSession
    ) async throws -> MergeID? {
        try await session.query(
            """
            SELECT u.merge_id
            FROM unnest(\(binary: ids.map { Shard($0) }), \(binary: Array(ids))) AS w (shard, id)
            JOIN profiles.unmerged_profile u ON u.shard = w.shard AND u.profile_id = w.id
            ORDER BY u.at DESC, u.merge_id DESC LIMIT 1
            """
        ).first?.get("merge_id")
    }

    /// Everybody who was one person until a merge was undone.
    package func profiles(
        partedBy id: MergeID, in session: some PostgresSession
    ) async throws -> [ProfileID] {
        try await session.query(
            "SELECT profile_id FROM profiles.unmerged_profile WHERE merge_id = \(id)"
        ).map { try $0.get("profile_id") }
    }
}
