import Models
import Postgres
import ProfileStore
import Streams

extension TimelineStore {
    private static let pageSize = 1_000

    /// The events of the profiles that lie in the raw log under names which are not theirs alone: by the name, what tells
    /// each of them apart there.
    ///
    /// An event lies there under the name of its device, but is of whoever is known by the strongest of its identifiers. The
    /// device may be somebody else's, or no name of anybody's (`null`). Where that is so when it is resolved, something was
    /// withheld; of people who were parted it may have become so since, and of those with a device that others use all
    /// events are looked at: `anywhere`. `names` are those that nobody else has.
    func messages(
        of memberIDs: [ProfileID], anywhere: Bool, outside names: Set<String>,
        in transaction: PostgresTransaction
    ) async throws -> [String: [String]] {
        var messages: [String: [String]] = [:]
        var (shard, offset): (Shard?, Int64) = (nil, 0)
        while true {
            let rows = try await transaction.query(
                """
                SELECT t.shard, t."offset", t.key, t.recorded_at, t.profile_id, t.body FROM profiles.timeline t
                WHERE t.profile_id = ANY(\(memberIDs)::uuid[]) AND t.source_id IS NOT NULL
                    AND (\(anywhere) OR t.message_id IN (
                        SELECT w.message_id FROM profiles.timeline w
                        WHERE w.profile_id = ANY(\(memberIDs)::uuid[]) AND w.type = 'withheld'))
                    AND (\(shard)::smallint IS NULL OR (t.shard, t."offset") > (\(shard)::smallint, \(offset)))
                ORDER BY t.shard, t."offset" LIMIT \(Int64(Self.pageSize))
                """)
            for body in try await StreamBodies.open(rows, of: .profileEvents, vault: vault, in: transaction) {
                // What can't be read any more is nobody's.
                guard let fact = try? ProfileFact(json: JSONParser.parse(Array(body.utf8)[...])),
                    case .event(_, _, let event) = fact, !names.contains(event.subjectKey)
                else { continue }
                messages[event.subjectKey, default: []].append(event.messageName)
            }
            guard rows.count == Self.pageSize, let last = rows.last else { return messages }
            (shard, offset) = (try last.get("shard"), try last.get("offset"))
        }
    }
}
