import Models
import Postgres
import Streams

/// Whom the timeline has spoken of since. Reads no bodies: what is true of them is read where it is kept.
struct TimelineChanges: Sendable {
    /// Some entries of every shard.
    struct Page: Sendable {
        /// The profiles that the entries are about.
        var keys: [ProfileID]
        /// Those of them that something has changed of for certain; of the others it may have.
        var changed: Set<ProfileID>
        var positions: [Shard: Int64]

        var isEmpty: Bool { positions.isEmpty }
    }

    let pool: PostgresPool
    private static let entriesOfAShard = 500
    /// Kinds of entries that say nothing of who somebody is, as a rule.
    private static let plain = ["track", "page", "screen"]

    /// Where the timeline ends now.
    func heads() async throws -> [Shard: Int64] {
        try await DatabaseStreamReader(pool: pool).heads(.profileEvents)
    }

    func after(_ positions: [Shard: Int64]) async throws -> Page {
        let places = Shard.all.map { (shard: $0, offset: positions[$0] ?? 0) }
        let rows = try await pool.query(
            """
            SELECT w.shard, t.key, bool_or(t.type <> ALL(\(Self.plain)::text[])) AS changed, max(t."offset") AS last
            FROM unnest(\(places.map(\.shard))::smallint[], \(places.map(\.offset))::bigint[]) AS w (shard, place)
            CROSS JOIN LATERAL (
                SELECT t.key, t.type, t."offset" FROM profiles.timeline t
                WHERE t.shard = w.shard AND t."offset" > w.place
                ORDER BY t."offset" LIMIT \(Self.entriesOfAShard)) t
            GROUP BY w.shard, t.key
            """)
        var page = Page(keys: [], changed: [], positions: [:])
        for row in rows {
            let shard: Shard = try row.get("shard")
            page.positions[shard] = max(page.positions[shard] ?? 0, try row.get("last"))
            guard let id = ProfileID(try row.get("key", as: String.self)) else { continue }
            page.keys.append(id)
            if try row.get("changed") { page.changed.insert(id) }
        }
        return page
    }
}
