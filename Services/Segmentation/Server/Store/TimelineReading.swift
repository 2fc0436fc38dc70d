import Models
import Postgres
import Sealing
import SegmentationDomain
import Streams

/// Reads the events of profiles back from the timeline: their own, and those of the profiles merged into them.
enum TimelineReading {
    /// An event with its place in the timeline.
    struct Entry {
        var shard: Shard
        var offset: Int64
        /// The profile that was canonical when it was written.
        var key: ProfileID
        /// The profile that it is of, merged into that one or not.
        var arrivedUnder: ProfileID
        var recordedAt: Instant
        var event: TrackingEvent
    }

    /// The events of each profile and of all that were ever merged into it, directly or through others, from one
    /// snapshot, ordered by occurrence. What was written after the profile itself was merged into another belongs to
    /// that one and is left out, unless the merge was undone.
    static func events(
        of profiles: some Collection<ProfileID>, vault: Vault, in transaction: PostgresTransaction
    ) async throws -> [ProfileID: [Entry]] {
        let rows = try await transaction.query(statement(of: profiles, wanted: nil))
        var entries: [ProfileID: [Entry]] = [:]
        for (root, entry) in try await read(rows, vault, transaction) {
            entries[root, default: []].append(entry)
        }
        return entries
    }

    /// The same event by event, a page of them in memory, and those alone that are wanted (nil for all). Of those the
    /// context is left out, as what is wanted by name is decided by properties and traits.
    static func each(
        of profiles: some Collection<ProfileID>, wanted: [WantedEvents]?, vault: Vault,
        in transaction: PostgresTransaction, _ take: (ProfileID, Entry) -> Void
    ) async throws {
        try await transaction.execute(
            "DECLARE history NO SCROLL CURSOR FOR \(statement(of: profiles, wanted: wanted))")
        while true {
            let rows = try await transaction.query("FETCH \(unsafe: String(page)) FROM history")
            for (root, entry) in try await read(rows, vault, transaction, context: wanted == nil) {
                take(root, entry)
            }
            guard rows.count == page else { break }
        }
        try await transaction.execute("CLOSE history")
    }

    /// The context of the event in the body of a fact.
    private static let context = JSONParser.PassedOver("context", atDepth: 2)
    /// Events that are held in memory at once.
    private static let page = 5_000

    private static func statement(of profiles: some Collection<ProfileID>, wanted: [WantedEvents]?) -> SQL {
        let kinds = (wanted ?? []).filter { $0.name == nil }.map(\.kind.rawValue)
        let named = (wanted ?? []).compactMap { wanted in
            wanted.name.map { (kind: wanted.kind.rawValue, name: $0) }
        }
        return """
            WITH RECURSIVE member (root, id) AS (
                SELECT w.id, w.id FROM unnest(\(Array(profiles))::uuid[]) AS w (id)
                UNION
                SELECT m.root, e.merged_id
                FROM member m JOIN profiles.merge e ON e.survivor_id = m.id AND e.undone_at IS NULL
            ), above (root, id) AS (
                SELECT e.merged_id, e.survivor_id FROM profiles.merge e
                WHERE e.merged_id = ANY(\(Array(profiles))::uuid[]) AND e.undone_at IS NULL
                UNION
                SELECT a.root, e.survivor_id
                FROM above a JOIN profiles.merge e ON e.merged_id = a.id AND e.undone_at IS NULL
            )
            SELECT m.root, t.shard, t."offset", t.key, t.recorded_at, t.profile_id, t.body
            FROM member m
            -- By the index for each, also where nothing is known yet of a table that has just been filled.
            CROSS JOIN LATERAL (
                SELECT * FROM profiles.timeline t WHERE t.profile_id = m.id OFFSET 0) t
            WHERE t.type NOT IN ('merge', 'mergedInto', 'unmerge', 'unmergedFrom', 'withheld', 'erased')
                AND NOT EXISTS (SELECT FROM above a WHERE a.root = m.root AND a.id::text = t.key)
                AND (\(wanted == nil)::boolean OR t.type = ANY(\(kinds)::text[])
                     OR (t.type, t.name) IN (SELECT * FROM unnest(\(named.map(\.kind))::text[],
                                                                  \(named.map(\.name))::text[])))
            ORDER BY m.root, t.occurred_at, t.shard, t."offset"
            """
    }

    /// The group calls at some places of a shard.
    static func groupCalls(
        in shard: Shard, after position: Int64, upTo end: Int64, vault: Vault,
        in transaction: PostgresTransaction
    ) async throws -> [Entry] {
        let rows = try await transaction.query(
            """
            SELECT t.profile_id AS root, t.shard, t."offset", t.key, t.recorded_at, t.profile_id, t.body
            FROM profiles.timeline t
            WHERE t.shard = \(shard) AND t."offset" > \(position) AND t."offset" <= \(end) AND t.type = 'group'
            ORDER BY t."offset"
            """)
        return try await read(rows, vault, transaction).map(\.entry)
    }

    private static func read(
        _ rows: [PostgresRow], _ vault: Vault, _ transaction: PostgresTransaction, context: Bool = true
    ) async throws -> [(root: ProfileID, entry: Entry)] {
        var entries: [(root: ProfileID, entry: Entry)] = []
        entries.reserveCapacity(rows.count)
        let bodies = try await StreamBodies.open(rows, of: .profileEvents, vault: vault, in: transaction)
        for (row, text) in zip(rows, bodies) {
            // What does not read as a fact went to quarantine when it came, and is left out here as well.
            guard let body = try? JSONParser.parse(text, passingOver: context ? nil : Self.context),
                let fact = try? ProfileFact(json: body),
                case .event(_, let arrivedUnder, var event) = fact,
                let key = ProfileID(try row.get("key", as: String.self))
            else { continue }
            let (shard, offset): (Shard, Int64) = (try row.get("shard"), try row.get("offset"))
            event.position = TimelinePosition(shard: shard, offset: offset)
            entries.append(
                (
                    try row.get("root"),
                    Entry(
                        shard: shard, offset: offset, key: key, arrivedUnder: arrivedUnder,
                        recordedAt: try row.get("recorded_at"),
                        event: event)
                ))
        }
        return entries
    }

    /// Those of the merges that were undone.
    static func undone(of merges: [MergeID], in transaction: PostgresTransaction) async throws -> Set<MergeID>
    {
        let rows = try await transaction.query(
            """
            SELECT merge_id FROM profiles.merge
            WHERE merge_id = ANY(\(merges)::uuid[]) AND undone_at IS NOT NULL
            """)
        return Set(try rows.map { try $0.get("merge_id") })
    }

    /// When a merge was made.
    static func instant(
        of merge: MergeID, in transaction: PostgresTransaction
    ) async throws -> Instant? {
        try await transaction.query("SELECT at FROM profiles.merge WHERE merge_id = \(merge)").first?.get(
            "at")
    }

    /// Whether a profile is merged into no other.
    static func isCanonical(_ profile: ProfileID, in transaction: PostgresTransaction) async throws -> Bool {
        try await transaction.query(
            """
            SELECT FROM profiles.merge WHERE merged_id = \(profile) AND undone_at IS NULL LIMIT 1
            """
        ).isEmpty
    }
}
