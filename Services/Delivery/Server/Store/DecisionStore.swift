import DeliveryDomain
import Foundation
import Models
import Postgres
import ProfileStore
import Sealing

/// What sends are decided by, read for a whole batch at a time.
struct DecisionStore: Sendable {
    let profiles: ProfileStore

    /// People, their traits and their addresses.
    struct Profiles: Sendable {
        var people: [ProfileID: Person] = [:]
        /// By canonical profile.
        var traits: [ProfileID: EffectiveTraits] = [:]
        /// By canonical profile.
        var addresses: [ProfileID: [StoredIdentifier]] = [:]
    }

    func profiles(
        _ ids: [ProfileID], in transaction: PostgresTransaction
    ) async throws -> Profiles {
        var result = Profiles(people: try await profiles.people(ids, in: transaction))
        var canonical: [ProfileID: ProfileID] = [:]
        for person in result.people.values {
            for member in person.memberIDs { canonical[member] = person.profileID }
        }
        let members = Array(canonical.keys)
        guard !members.isEmpty else { return result }
        for trait in try await profiles.storedTraits(of: members, in: transaction) {
            guard let owner = canonical[trait.profileID] else { continue }
            result.traits[owner, default: EffectiveTraits()].apply(trait.entry, to: trait.name)
        }
        for found in try await profiles.identifiers(of: members, in: transaction)
        where found.identifier.kind == .email {
            guard let owner = canonical[found.profileID] else { continue }
            result.addresses[owner, default: []].append(found)
        }
        return result
    }

    func legalBases(
        _ purposes: Set<String>, in transaction: PostgresTransaction
    ) async throws -> [String: LegalBasis] {
        let rows = try await transaction.query(
            "SELECT purpose, legal_basis FROM profiles.purpose WHERE purpose = ANY(\(Array(purposes))::text[])"
        )
        var result: [String: LegalBasis] = [:]
        for row in rows {
            result[try row.get("purpose")] = LegalBasis(rawValue: try row.get("legal_basis", as: String.self))
        }
        return result
    }

    /// The consent states of whole merge components, locked until the transaction ends: a withdrawal is either
    /// seen here or comes after the message.
    func lockConsents(
        _ members: [ProfileID], purposes: Set<String>, in transaction: PostgresTransaction
    ) async throws -> [ProfileID: [String: ConsentFact]] {
        guard !members.isEmpty else { return [:] }
        let rows = try await transaction.query(
            """
            SELECT c.profile_id, c.purpose, c.state, c.at, c.ledger_entry FROM profiles.consent_state c
            WHERE (c.shard, c.profile_id) IN (
                    SELECT * FROM unnest(\(members.map { Shard($0) })::smallint[], \(members)::uuid[]))
              AND c.purpose = ANY(\(Array(purposes))::text[])
            ORDER BY c.shard, c.profile_id, c.purpose
            FOR SHARE OF c
            """)
        var result: [ProfileID: [String: ConsentFact]] = [:]
        for row in rows {
            let id: ProfileID = try row.get("profile_id")
            let state: String = try row.get("state")
            result[id, default: [:]][try row.get("purpose")] = ConsentFact(
                profileID: id, state: state == "granted" ? .granted : .withdrawn, at: try row.get("at"),
                ledgerEntry: try row.get("ledger_entry", as: UUID?.self)?.uuidString.lowercased())
        }
        return result
    }

    func earlierAttempts(
        of messages: [QueuedMessage], in transaction: PostgresTransaction
    ) async throws -> [MessageID: [EarlierAttempt]] {
        let tried = messages.filter { $0.attempts > 0 }
        guard !tried.isEmpty else { return [:] }
        let rows = try await transaction.query(
            """
            SELECT a.message_id, a.attempt, a.finished_at, a.detail
            FROM unnest(\(tried.map(\.shard))::smallint[], \(tried.map(\.id))::uuid[]) AS w (shard, message_id)
            JOIN delivery.attempt a ON a.shard = w.shard AND a.message_id = w.message_id
            ORDER BY a.attempt
            """)
        var result: [MessageID: [EarlierAttempt]] = [:]
        let sealing = MessageSealing(days: profiles.vault.days)
        for row in rows {
            let id: MessageID = try row.get("message_id")
            let detail = try await sealing.open(
                try row.get("detail", as: String?.self), .detail, of: id,
                "\(try row.get("attempt", as: Int64.self))")
            result[id, default: []].append(
                EarlierAttempt(at: try row.get("finished_at"), detail: detail ?? ""))
        }
        return result
    }
}
