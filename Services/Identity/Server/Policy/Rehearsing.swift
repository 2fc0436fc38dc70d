import IdentityDomain
import Models
import Postgres
import Sealing
import Streams

/// Runs a policy over the stored timeline, from one snapshot, and writes nothing.
struct Rehearsing {
    let pool: PostgresPool
    let vault: Vault
    private static let page = 5000

    /// An event of the timeline, and who it is of now.
    private struct Entry {
        let recordedAt: Instant
        let event: TrackingEvent
        let person: ProfileID
        let arrivedUnder: ProfileID
    }

    /// What would come of it, and whether there are more events than were gone through.
    func run(_ policy: IdentityPolicy, events limit: Int) async throws -> (
        PolicyRehearsal.Report, isPart: Bool
    ) {
        try await pool.transaction(isolation: .repeatableRead) { transaction in
            var rehearsal = PolicyRehearsal(policy, parted: try await parted(in: transaction))
            var position: (at: Instant, shard: Shard, offset: Int64)?
            var taken = 0
            var isAtEnd = false
            var entries: [Entry] = []
            while !isAtEnd {
                let rows = try await page(
                    after: position, limit: min(Self.page, limit - taken), in: transaction)
                let bodies = try await StreamBodies.open(
                    rows, of: .profileEvents, vault: vault, in: transaction)
                for (row, body) in zip(rows, bodies) {
                    position = (try row.get("recorded_at"), try row.get("shard"), try row.get("offset"))
                    if let entry = try Self.entry(row, body) { entries.append(entry) }
                }
                taken += rows.count
                isAtEnd = rows.count < Self.page || taken >= limit
                for entry in Self.inOrder(&entries, isAtEnd: isAtEnd) {
                    rehearsal.take(entry.event, of: entry.person, arrivedUnder: entry.arrivedUnder)
                }
                // A long computation lets others have their turn.
                await Task.yield()
            }
            let isPart =
                taken < limit ? false : try await !page(after: position, limit: 1, in: transaction).isEmpty
            for merge in try await ordered(in: transaction) {
                rehearsal.join(
                    try merge.get("survivor_member"), try merge.get("merged_member"),
                    by: try merge.get("merge_id"),
                    at: try merge.get("at"))
            }
            return (rehearsal.report, isPart)
        }
    }

    private static func entry(_ row: PostgresRow, _ body: String) throws -> Entry? {
        // What doesn't read as a fact is in its readers' quarantine.
        guard let fact = try? ProfileFact(json: try JSONParser.parse(Array(body.utf8)[...])),
            case .event(_, let arrivedUnder, let event) = fact
        else { return nil }
        return Entry(
            recordedAt: try row.get("recorded_at"), event: event, person: try row.get("canonical_id"),
            arrivedUnder: arrivedUnder)
    }

    /// Takes out what may be gone through. Events of one commit stand by their shards, so they are brought into the order
    /// in which they came; those of the last are kept until all of them are here, unless they are very many.
    private static func inOrder(_ entries: inout [Entry], isAtEnd: Bool) -> [Entry] {
        let last = entries.last?.recordedAt
        let isAll = isAtEnd || entries.count > 4 * page
        let end = isAll ? entries.endIndex : entries.firstIndex { $0.recordedAt == last } ?? entries.endIndex
        let ready = entries[..<end].enumerated().sorted { one, other in
            (one.element.recordedAt, one.element.event.receivedAt, one.offset)
                < (other.element.recordedAt, other.element.event.receivedAt, other.offset)
        }
        entries.removeFirst(end)
        return ready.map(\.element)
    }

    private func page(
        after position: (at: Instant, shard: Shard, offset: Int64)?, limit: Int,
        in transaction: PostgresTransaction
    ) async throws -> [PostgresRow] {
        let bound: SQL =
            if let position {
                """
                AND (t.recorded_at, t.shard, t."offset")
                    > (\(position.at)::timestamptz, \(position.shard)::smallint, \(position.offset)::bigint)
                """
            } else {
                ""
            }
        return try await transaction.query(
            """
            SELECT t.shard, t."offset", t.key, t.recorded_at, t.profile_id, t.body, p.canonical_id
            FROM profiles.timeline t
            JOIN profiles.profile p ON p.canonical_id IS NOT NULL AND p.profile_id = t.profile_id
            WHERE t.type IN ('identify', 'track', 'page', 'screen', 'group', 'alias') \(bound)
            ORDER BY t.recorded_at, t.shard, t."offset" LIMIT \(limit)
            """)
    }

    /// The people whose merge was undone and not allowed again, whatever had made it.
    private func parted(in transaction: PostgresTransaction) async throws -> [Separation] {
        try await transaction.query(
            """
            SELECT m.merge_id, l.canonical_id AS left_id, r.canonical_id AS right_id
            FROM profiles.merge m
            JOIN profiles.profile l ON l.profile_id = m.survivor_member
            JOIN profiles.profile r ON r.profile_id = m.merged_member
            WHERE m.undone_at IS NOT NULL AND m.allowed_at IS NULL AND l.canonical_id <> r.canonical_id
            ORDER BY m.merge_id
            """
        ).map { row in
            Separation(
                mergeID: try row.get("merge_id"), left: try row.get("left_id"), right: try row.get("right_id")
            )
        }
    }

    /// The merges that no event made.
    private func ordered(in transaction: PostgresTransaction) async throws -> [PostgresRow] {
        try await transaction.query(
            """
            SELECT merge_id, at, survivor_member, merged_member FROM profiles.merge
            WHERE undone_at IS NULL AND survivor_member IS NOT NULL AND cause->>'kind' IN ('operator', 'rule', 'matching')
            ORDER BY ordinal
            """)
    }
}
