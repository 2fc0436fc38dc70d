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

    /// What would come of it, and whether there are more events than were gone through.
    func run(_ policy: IdentityPolicy, events limit: Int) async throws -> (
        PolicyRehearsal.Report, isPart: Bool
    ) {
        try await pool.transaction(isolation: .repeatableRead) { transaction in
            var rehearsal = PolicyRehearsal(policy)
            var position: (at: Instant, shard: Shard, offset: Int64)?
            var taken = 0
            while taken < limit {
                let rows = try await page(
                    after: position, limit: min(Self.page, limit - taken), in: transaction)
                let bodies = try await StreamBodies.open(
                    rows, of: .profileEvents, vault: vault, in: transaction)
                for (row, body) in zip(rows, bodies) {
                    position = (try row.get("recorded_at"), try row.get("shard"), try row.get("offset"))
                    // What doesn't read as a fact is in its readers' quarantine.
                    guard let fact = try? ProfileFact(json: try JSONParser.parse(Array(body.utf8)[...])),
                        case .event(_, let arrivedUnder, let event) = fact
                    else { continue }
                    rehearsal.take(event, of: try row.get("canonical_id"), arrivedUnder: arrivedUnder)
                }
                taken += rows.count
                if rows.count < Self.page { break }
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
