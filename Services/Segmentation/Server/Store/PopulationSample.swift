import Models
import Postgres
import Sealing
import SegmentationDomain
import Streams

/// People of whom one shard after the other gives some. A profile's shard is a hash of its id, so each shard is a fair
/// sample of all; and within one they are taken in the order of another hash. The same people come every time, so that
/// two drafts of a rule differ by what they say and not by whom they were asked about.
struct PopulationSample {
    struct Profile {
        let id: ProfileID
        /// Nil for one of which nothing was decided yet.
        let state: ProfileState?
    }

    /// People of one shard that are looked at.
    static let perShard = 250

    let transaction: PostgresTransaction
    let registry: SegmentRegistry

    /// Some people of a shard, in such an order that the first of them are a fair sample too; and how many it has.
    /// Whose state does not read is left out, and counted.
    func take(from shard: Shard) async throws -> (profiles: [Profile], total: Int, leftOut: Int) {
        let rows = try await transaction.query(
            """
            WITH people AS MATERIALIZED (
                SELECT profile_id FROM profile_state WHERE shard = \(shard) AND state IS NOT NULL
            ), chosen AS (
                SELECT profile_id FROM people ORDER BY uuid_hash(profile_id), profile_id LIMIT \(Self.perShard)
            )
            SELECT s.profile_id, s.state, (SELECT count(*) FROM people) AS total
            FROM chosen c JOIN profile_state s ON s.shard = \(shard) AND s.profile_id = c.profile_id
            ORDER BY uuid_hash(s.profile_id), s.profile_id
            """)
        var profiles: [Profile] = []
        var leftOut = 0
        for row in rows {
            let id: ProfileID = try row.get("profile_id")
            let stored: StateStore.Stored
            do { stored = try await StateStore.stored(row, registry, in: transaction) } catch is RetryLater {
                leftOut += 1
                continue
            }
            switch stored {
            case .state(let state): profiles.append(Profile(id: id, state: state))
            case .fresh: profiles.append(Profile(id: id, state: nil))
            case .merged: continue
            }
        }
        return (profiles, try rows.first?.get("total") ?? 0, leftOut)
    }

    /// The segments in force that each of the profiles is in.
    func segments(of profiles: [Profile]) async throws -> [(profile: ProfileID, segment: String)] {
        let ids = profiles.map(\.id)
        let rows = try await transaction.query(
            """
            SELECT m.profile_id, m.segment
            FROM unnest(\(ids.map { Shard($0) })::smallint[], \(ids)::uuid[]) AS w (shard, id)
            JOIN profiles.membership m ON m.shard = w.shard AND m.profile_id = w.id
            JOIN segment s ON s.id = m.segment AND s.deleted_at IS NULL
            """)
        return try rows.map { (try $0.get("profile_id"), try $0.get("segment")) }
    }
}
