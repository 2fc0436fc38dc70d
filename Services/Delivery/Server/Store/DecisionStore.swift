import ConsentDomain
import DeliveryDomain
import Foundation
import Models
import Postgres
import ProfileStore
import Sealing

/// What sends are decided by, read for a whole batch at a time.
struct DecisionStore: Sendable {
    let profiles: ProfileStore
    let policies: ConsentPolicyReader<ConsentPolicy>

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

    /// The consent states of whole merge components, locked until the transaction ends. To be read under the lock of
    /// decisions (`DecisionLock`): then a withdrawal is either seen here or comes after the message.
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
                profileID: id, purpose: try row.get("purpose"),
                // Whatever isn't known to be a grant must not be taken for one.
                state: state == "granted" ? .granted : .withdrawn, at: try row.get("at"),
                ledgerEntry: try row.get("ledger_entry", as: UUID?.self)?.uuidString.lowercased())
        }
        return result
    }

    /// What people said by the link in a mail; consent may have yet to hear of it. To be read under the lock of decisions.
    func objections(
        _ members: [ProfileID], purposes: Set<String>, in transaction: PostgresTransaction
    ) async throws -> [ProfileID: [String: ConsentFact]] {
        let rows = try await transaction.query(
            """
            SELECT o.profile_id, o.purpose, o.at
            FROM unnest(\(members.map { Shard($0) })::smallint[], \(members)::uuid[]) AS w (shard, profile_id)
            JOIN delivery.objection o ON o.shard = w.shard AND o.profile_id = w.profile_id
            WHERE o.purpose = ANY(\(Array(purposes))::text[])
            """)
        var result: [ProfileID: [String: ConsentFact]] = [:]
        for row in rows {
            let id: ProfileID = try row.get("profile_id")
            result[id, default: [:]][try row.get("purpose")] = ConsentFact(
                profileID: id, purpose: try row.get("purpose"), state: .withdrawn, at: try row.get("at"),
                ledgerEntry: nil)
        }
        return result
    }

    /// Has the messages of people decided one batch after another, until the transaction ends; in one order, so that nobody
    /// waits in a circle.
    func takeTurns(_ people: [ProfileID], in transaction: PostgresTransaction) async throws {
        let keys = Set(
            people.map { Int64(bitPattern: StableHash.hash64("messages of a person", $0.description)) }
        ).sorted()
        _ = try await transaction.query(
            """
            SELECT count(pg_advisory_xact_lock(w.key))
            FROM (SELECT key FROM unnest(\(keys)::bigint[]) AS s (key) ORDER BY key) w
            """)
    }

    /// When people, by any of their profiles, were last sent anything but what is for one of the purposes.
    func lastSends(
        to people: [ProfileID: [ProfileID]], except purposes: [String], in transaction: PostgresTransaction
    ) async throws -> [ProfileID: Instant] {
        let members = people.flatMap { person, members in members.map { (person: person, member: $0) } }
        let rows = try await transaction.query(
            """
            SELECT w.person, max(coalesce((
                -- When it went, whatever was written to it since, such as by a merge that was undone.
                SELECT max(a.finished_at) FROM delivery.attempt a
                WHERE a.shard = m.shard AND a.message_id = m.message_id AND a.outcome = 'delivered'
            ), m.updated_at)) AS at
            FROM unnest(\(members.map(\.person))::uuid[], \(members.map(\.member))::uuid[]) AS w (person, member)
            JOIN delivery.message m ON m.profile_id = w.member
            WHERE m.state IN ('sending', 'delivered') AND m.purpose <> ALL(\(purposes)::text[])
            GROUP BY w.person
            """)
        var sends: [ProfileID: Instant] = [:]
        for row in rows { sends[try row.get("person")] = try row.get("at", as: Instant.self) }
        return sends
    }

    /// A merge that was undone.
    struct Unmerge: Sendable {
        var mergeID: MergeID
        var at: Instant
        /// Whether consents stand as they do without it.
        var isFolded: Bool
    }

    /// The merges undone since an instant that had joined one of the profiles to others.
    ///
    /// Reading the profile store statement by statement sees an undoing here first and there later. Asked for after
    /// everything else, all are known that may have been seen; asked for before consents, those that are said to be
    /// folded are.
    func unmerges(
        of profiles: [ProfileID], since instant: Instant, in transaction: PostgresTransaction
    ) async throws -> [ProfileID: [Unmerge]] {
        let rows = try await transaction.query(
            """
            SELECT u.profile_id, u.merge_id, u.at, c.merge_id IS NOT NULL AS is_folded
            FROM unnest(\(profiles.map { Shard($0) })::smallint[], \(profiles)::uuid[]) AS w (shard, profile_id)
            JOIN profiles.unmerged_profile u USING (shard, profile_id)
            LEFT JOIN profiles.consent_unmerge c USING (shard, profile_id, merge_id)
            WHERE u.at >= \(instant)
            ORDER BY u.merge_id
            """)
        return Dictionary(
            grouping: try rows.map { row in
                (
                    profileID: try row.get("profile_id", as: ProfileID.self),
                    unmerge: Unmerge(
                        mergeID: try row.get("merge_id"), at: try row.get("at"),
                        isFolded: try row.get("is_folded"))
                )
            }, by: \.profileID
        ).mapValues { $0.map(\.unmerge) }
    }

    /// Of undone merges, those of which journeys have said what it means for the messages of shards.
    func told(
        _ merges: Set<MergeID>, in shards: Set<Shard>, in transaction: PostgresTransaction
    ) async throws -> [Shard: Set<MergeID>] {
        guard !merges.isEmpty else { return [:] }
        let rows = try await transaction.query(
            """
            SELECT shard, merge_id FROM delivery.unmerge
            WHERE shard = ANY(\(shards.sorted())::smallint[]) AND merge_id = ANY(\(merges.sorted())::uuid[])
            """)
        var told: [Shard: Set<MergeID>] = [:]
        for row in rows { told[try row.get("shard"), default: []].insert(try row.get("merge_id")) }
        return told
    }

    func earlierAttempts(
        of messages: [QueuedMessage], in transaction: PostgresTransaction
    ) async throws -> [MessageID: [EarlierAttempt]] {
        let tried = messages.filter { $0.attempts > $0.priorAttempts }
        guard !tried.isEmpty else { return [:] }
        let rows = try await transaction.query(
            """
            SELECT a.message_id, a.attempt, a.finished_at, a.detail
            FROM unnest(\(tried.map(\.shard))::smallint[], \(tried.map(\.id))::uuid[],
                        \(tried.map(\.priorAttempts))::int[]) AS w (shard, message_id, prior)
            JOIN delivery.attempt a ON a.shard = w.shard AND a.message_id = w.message_id AND a.attempt > w.prior
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
