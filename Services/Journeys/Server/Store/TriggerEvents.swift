package import JourneysDomain
package import Models
package import Postgres
package import Sealing
import Streams

/// Finds the event behind a segment entry, so that a message can speak of it: the product that was viewed
/// four times, not only that something was.
package struct TriggerEvents: Sendable {
    private let vault: Vault

    package init(vault: Vault) { self.vault = vault }

    /// The change with the newest event of its evidence, if somebody may enter a journey by it.
    package func completed(
        _ change: MembershipChange, _ catalog: JourneyCatalog, now: Instant,
        in transaction: PostgresTransaction
    ) async throws -> MembershipChange {
        let letsIn = catalog.open.contains {
            let entry = $0.definition.entry
            return entry.trigger == .segmentEntered(change.segment) && now - change.at <= entry.maxTriggerAge
        }
        guard change.change == .entered, letsIn, case .object(var evidence) = change.evidence,
            let newest = Self.newest(in: change.evidence),
            let body = try await body(of: newest, profileID: change.profileID, in: transaction)
        else { return change }
        var change = change
        evidence["event"] = body["event"]
        change.evidence = .object(evidence)
        return change
    }

    private struct Mention {
        var messageID: String
        var at: Instant
    }

    /// The evidence mentions events by id and time wherever a condition rests on them.
    private static func newest(in evidence: JSON) -> Mention? {
        var newest: Mention?
        var waiting = [evidence]
        while let json = waiting.popLast() {
            switch json {
            case .array(let elements): waiting += elements
            case .object(let members):
                waiting += members.values
                guard let id = members["messageId"]?.string,
                    let at = members["timestamp"]?.string.flatMap({ Instant(rfc3339: $0) })
                else { continue }
                if newest.map({ ($0.at, $0.messageID) < (at, id) }) ?? true {
                    newest = Mention(messageID: id, at: at)
                }
            default: break
            }
        }
        return newest
    }

    private func body(
        of mention: Mention, profileID: ProfileID, in transaction: PostgresTransaction
    ) async throws -> JSON? {
        // It may have arrived under a profile that was merged into this one.
        let rows = try await transaction.query(
            """
            SELECT t.shard, t."offset", t.key, t.recorded_at, t.profile_id, t.body FROM profiles.timeline t
            WHERE t.profile_id IN (SELECT profile_id FROM profiles.profile WHERE canonical_id = \(profileID)
                                   UNION SELECT \(profileID)::uuid)
              AND t.occurred_at = \(mention.at) AND t.message_id = \(mention.messageID)
            LIMIT 1
            """)
        return try await StreamBodies.open(rows, of: .profileEvents, vault: vault, in: transaction).first
            .map { try JSONParser.parse(Array($0.utf8)[...]) }
    }
}
