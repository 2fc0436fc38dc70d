import Models
import Postgres
import Sealing
import Streams

/// Reads the events of profiles back from the timeline: their own, and those of the profiles merged into them.
enum TimelineReading {
    /// An event with its place in the timeline.
    struct Entry {
        var shard: Shard
        var offset: Int64
        /// The profile that was canonical when it was written.
        var key: ProfileID
        var event: TrackingEvent
    }

    /// The events of each profile and of all that were ever merged into it, directly or through others, from one
    /// snapshot, ordered by occurrence. What was written after the profile itself was merged into another belongs to
    /// that one and is left out.
    static func events(
        of profiles: some Collection<ProfileID>, vault: Vault, in transaction: PostgresTransaction
    ) async throws -> [ProfileID: [Entry]] {
        let rows = try await transaction.query(
            """
            WITH RECURSIVE member (root, id) AS (
                SELECT w.id, w.id FROM unnest(\(Array(profiles))::uuid[]) AS w (id)
                UNION
                SELECT m.root, e.merged_id
                FROM member m JOIN profiles.merge e ON e.survivor_id = m.id AND e.undone_at IS NULL
            )
            SELECT m.root, t.shard, t."offset", t.key, t.recorded_at, t.profile_id, t.body
            FROM member m
            JOIN profiles.timeline t ON t.profile_id = m.id
            JOIN member k ON k.root = m.root AND k.id::text = t.key
            WHERE t.type NOT IN ('merge', 'mergedInto', 'erased')
            ORDER BY m.root, t.occurred_at, t.shard, t."offset"
            """)
        var entries: [ProfileID: [Entry]] = [:]
        let bodies = try await StreamBodies.open(rows, of: .profileEvents, vault: vault, in: transaction)
        for (row, text) in zip(rows, bodies) {
            // What does not read as a fact went to quarantine when it came, and is left out here as well.
            guard let body = try? JSONParser.parse(Array(text.utf8)[...]),
                let fact = try? ProfileFact(json: body),
                case .event(_, _, let event) = fact, let key = ProfileID(try row.get("key", as: String.self))
            else { continue }
            entries[try row.get("root"), default: []].append(
                Entry(shard: try row.get("shard"), offset: try row.get("offset"), key: key, event: event))
        }
        return entries
    }
}
