import Models
import Postgres

/// Profiles that changed rules come into force without: `left_behind`.
enum LeftBehind {
    /// How long one is left alone.
    private static let pause: Duration = .seconds(60)

    static func add(_ profiles: [ProfileID], at now: Instant, in session: any PostgresSession) async throws {
        let profiles = profiles.sorted()
        _ = try await session.query(
            """
            INSERT INTO left_behind AS l (shard, profile_id, tried_at)
            SELECT w.shard, w.id, \(now)
            FROM unnest(\(profiles.map { Shard($0) })::smallint[], \(profiles)::uuid[]) AS w (shard, id)
            ON CONFLICT (shard, profile_id) DO UPDATE SET tried_at = excluded.tried_at
            """)
    }

    /// Some who have not been tried for a while.
    static func due(at now: Instant, in session: any PostgresSession) async throws -> [ProfileID] {
        try await session.query(
            "SELECT profile_id FROM left_behind WHERE tried_at <= \(now - pause) ORDER BY tried_at LIMIT 20"
        ).map { try $0.get("profile_id") }
    }

    static func remove(_ profile: ProfileID, in session: any PostgresSession) async throws {
        _ = try await session.query(StateStore.delete([profile], from: "left_behind"))
    }

    /// Of a table of profiles called `d`, those whom next rules come into force without as well: whose deadline could not be
    /// fired again and again, or whom they could not be worked out for.
    static let exclusion: SQL = """
        NOT EXISTS (SELECT FROM left_behind l WHERE l.shard = d.shard AND l.profile_id = d.profile_id)
        AND NOT EXISTS (SELECT FROM deadline t
                        WHERE t.shard = d.shard AND t.profile_id = d.profile_id AND t.attempts > 0)
        """

    /// How many that are.
    static func count(in session: any PostgresSession) async throws -> Int {
        try await session.query(
            """
            SELECT count(*) AS n FROM (
                SELECT shard, profile_id FROM left_behind
                UNION SELECT shard, profile_id FROM deadline WHERE attempts > 0) AS w
            """
        ).first?.get("n") ?? 0
    }
}
