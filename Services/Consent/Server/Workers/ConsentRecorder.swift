import ConsentDomain
import Models
import Postgres
import ProfileStore
import Sealing
import ServiceKit
import Streams

/// A decision to be recorded of a profile.
struct NewDecision: Sendable {
    let profileID: ProfileID
    let signal: ConsentSignal
    /// Of the call that brought it.
    var traceparent: String?
    /// What is to be recorded of the call.
    var auditDuty: AuditDuty?
}

/// What recording a decision led to.
struct RecordedDecision: Sendable {
    let entry: LedgerEntry
    /// Which of the decisions it was.
    let index: Int
    /// The person the profile belongs to now.
    let canonicalID: ProfileID
    /// What stands for the person now.
    var standing: StandingConsent?
}

/// Writes decisions to the ledger, lets them take effect, and tells the others: all in one transaction.
///
/// The chains of the profiles' shards are locked first, and only then is it read who the profiles belong to. A merge
/// locks the chains of all of the person's profiles before it folds. So whichever comes first, no entry is left out of
/// the fold of the person it belongs to.
struct ConsentRecorder: Sendable {
    private let profiles: ProfileStore
    let policies: PolicyReader
    private let changes = StreamWriter(.consents)

    init(profiles: ProfileStore, policies: PolicyReader) {
        self.profiles = profiles
        self.policies = policies
    }

    /// Records the decisions of profiles that exist and are not erased, in order; the others are left out.
    func record(
        _ decisions: [NewDecision], at now: Instant, traceparent: String? = nil,
        in transaction: PostgresTransaction
    ) async throws -> [RecordedDecision] {
        guard !decisions.isEmpty else { return [] }
        let asked = Array(Set(decisions.map(\.profileID)))
        let policy = policies.reading()
        let replies = try await transaction.pipeline([
            LedgerStore.lock(Set(asked.map { Shard($0) })), ProfileStore.people(asked), policy.statement,
        ])
        var chains = try LedgerStore.chains(replies[0])
        let people = try ProfileStore.people(replies[1])
        let policyVersion = try policies.current(of: policy, replies[2]).version
        var recorded: [RecordedDecision] = []
        var sealed: [(sealed: SealedEntry, subject: EntrySubject)] = []
        for (index, decision) in decisions.enumerated() {
            let shard = Shard(decision.profileID)
            guard let person = people[decision.profileID], person.erasedAt == nil, var chain = chains[shard]
            else { continue }
            let entry = LedgerEntry(
                id: LedgerEntryID(UUIDv7.make(at: now)), profileID: decision.profileID,
                purpose: decision.signal.purpose, action: decision.signal.action,
                source: decision.signal.source, textVersion: decision.signal.textVersion,
                locale: decision.signal.locale, policyVersion: policyVersion,
                occurredAt: decision.signal.occurredAt, recordedAt: now, evidence: decision.signal.evidence)
            let subject = EntrySubject(
                profileID: entry.profileID, evidence: entry.evidence.compact, salt: Self.salt())
            sealed.append((chain.seal(entry, subject: subject), subject))
            chains[shard] = chain
            recorded.append(RecordedDecision(entry: entry, index: index, canonicalID: person.profileID))
        }
        guard !recorded.isEmpty else { return [] }
        let key = try await profiles.vault.days.key(at: now)
        let standing = Self.fold(
            recorded.map { ($0.canonicalID, $0.entry.purpose, ConsentDecision($0.entry)) })
        let members = people.values.filter { $0.erasedAt == nil }.flatMap(\.memberIDs)
        let written = try await transaction.pipeline(
            LedgerStore.statements(appending: sealed, chains: chains, under: key) + [
                DecisionLock.statement(for: .deciding, of: members),
                ConsentStateStore.raise(standing),
                ConsentStateStore.standing(of: Array(Set(standing.map(\.profileID)))),
            ]
        ).suffix(2).map(ConsentStateStore.standing)
        try await publish(written[0], recorded, at: now, in: transaction) {
            decisions[$0].traceparent ?? traceparent
        }
        let stands = Dictionary(
            written[1].map { (Standing($0), $0) }, uniquingKeysWith: { first, _ in first })
        return recorded.map { recorded in
            var recorded = recorded
            recorded.standing =
                stands[
                    Standing(profileID: recorded.canonicalID, purpose: recorded.entry.purpose)]
            return recorded
        }
    }

    /// Folds the ledger anew for the persons that the profiles belong to now.
    func refold(_ merged: Set<ProfileID>, at now: Instant, in transaction: PostgresTransaction) async throws {
        guard !merged.isEmpty else { return }
        let people = try await lockPeople(of: merged, in: transaction)
        var owner: [ProfileID: ProfileID] = [:]
        for person in people {
            for member in person.memberIDs { owner[member] = person.profileID }
        }
        try await DecisionLock.take(for: .deciding, of: owner.keys, in: transaction)
        let decisions = try await LedgerStore.decisions(of: Array(owner.keys), in: transaction)
        let standing = Self.fold(
            decisions.compactMap { found in
                owner[found.profileID].map { ($0, found.purpose, found.decision) }
            })
        try await ConsentStateStore.note(changesOf: owner.keys, in: transaction)
        // What still stands under a profile that is nobody of its own any more would be found by its old id.
        try await ConsentStateStore.remove(
            owner.filter { $0.key != $0.value }.map(\.key), in: transaction)
        // Where a merge was undone, some decisions are those of somebody else again.
        try await ConsentStateStore.keep(
            standing, of: Set(owner.values).sorted(), in: transaction)
        let changed = try await ConsentStateStore.replace(standing, in: transaction)
        try await publish(
            changed.map { ($0, "profile-merge", nil, nil) }, at: now, in: transaction)
    }

    /// Locks the chains of everybody who was ever merged into the persons that the profiles belong to, and returns the
    /// persons. A decision locks the chain of the profile that it was made under, which may have been merged long ago:
    /// the chains of this merge alone would let it commit between the reading and the writing of the fold.
    @discardableResult
    func lockPeople(
        of merged: Set<ProfileID>, in transaction: PostgresTransaction
    ) async throws -> Set<Person> {
        var locked = merged
        while true {
            _ = try await LedgerStore.lockChains(Set(locked.map { Shard($0) }), in: transaction)
            let people = Set(try await profiles.people(Array(locked), in: transaction).values)
            let members = Set(people.flatMap(\.memberIDs))
            if members.isSubset(of: locked) { return people }
            locked.formUnion(members)
        }
    }

    /// Whose decision about what.
    private struct Standing: Hashable {
        let profileID: ProfileID
        let purpose: String

        init(profileID: ProfileID, purpose: String) { (self.profileID, self.purpose) = (profileID, purpose) }
        init(_ standing: StandingConsent) { (profileID, purpose) = (standing.profileID, standing.purpose) }
    }

    private static func fold(
        _ decisions: [(ProfileID, purpose: String, ConsentDecision)]
    ) -> [StandingConsent] {
        var standing: [Standing: ConsentDecision] = [:]
        for (profileID, purpose, decision) in decisions {
            let key = Standing(profileID: profileID, purpose: purpose)
            standing[key] = mergedConsent(standing[key], decision)
        }
        return standing.map {
            StandingConsent(profileID: $0.key.profileID, purpose: $0.key.purpose, decision: $0.value)
        }
    }

    /// Tells of what took effect, with where it came from.
    private func publish(
        _ raised: [StandingConsent], _ recorded: [RecordedDecision], at now: Instant,
        in transaction: PostgresTransaction, traceparent: (_ decision: Int) -> String?
    ) async throws {
        let entries = Dictionary(
            recorded.map { ($0.entry.id, $0) }, uniquingKeysWith: { first, _ in first })
        try await publish(
            raised.map { standing in
                let recorded = entries[standing.decision.entry]
                return (
                    standing, recorded?.entry.source ?? "ledger", recorded?.entry.textVersion,
                    recorded.flatMap { traceparent($0.index) }
                )
            }, at: now, in: transaction)
    }

    private func publish(
        _ raised: [(standing: StandingConsent, source: String, textVersion: String?, traceparent: String?)],
        at now: Instant, in transaction: PostgresTransaction
    ) async throws {
        try await changes.append(
            raised.sorted {
                ($0.standing.profileID, $0.standing.purpose) < ($1.standing.profileID, $1.standing.purpose)
            }
            .map { change in
                let standing = change.standing
                return NewRecord(
                    shard: Shard(standing.profileID), key: standing.profileID.description,
                    body: ConsentChange(
                        profileID: standing.profileID, purpose: standing.purpose,
                        state: standing.decision.state, at: standing.decision.at, source: change.source,
                        textVersion: change.textVersion, ledgerEntry: standing.decision.entry.description
                    ).json,
                    traceparent: change.traceparent)
            }, at: now, in: transaction)
    }

    private static func salt() -> [UInt8] {
        var generator = SystemRandomNumberGenerator()
        return (0..<4).flatMap { _ in
            let word = generator.next()
            return (0..<8).map { UInt8(truncatingIfNeeded: word >> ($0 * 8)) }
        }
    }
}
