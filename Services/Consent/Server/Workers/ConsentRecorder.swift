import ConsentDomain
import Models
import Postgres
import ProfileStore
import Sealing
import Streams

/// A decision to be recorded of a profile.
struct NewDecision: Sendable {
    let profileID: ProfileID
    let signal: ConsentSignal
    /// Of the call that brought it.
    var traceparent: String?
}

/// What recording a decision led to.
struct RecordedDecision: Sendable {
    let entry: LedgerEntry
    /// Which of the decisions it was.
    let index: Int
    /// The person the profile belongs to now.
    let canonicalID: ProfileID
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
        var chains = try await LedgerStore.lockChains(
            Set(decisions.map { Shard($0.profileID) }), in: transaction)
        let people = try await profiles.people(Array(Set(decisions.map(\.profileID))), in: transaction)
        let policyVersion = try await policies.current(in: transaction).version
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
        try await LedgerStore.append(
            sealed, chains: chains, at: now, vault: profiles.vault, in: transaction)
        let standing = Self.fold(
            recorded.map { ($0.canonicalID, $0.entry.purpose, ConsentDecision($0.entry)) })
        try await DecisionLock.take(
            for: .deciding, of: people.values.filter { $0.erasedAt == nil }.flatMap(\.memberIDs),
            in: transaction)
        let raised = try await ConsentStateStore.raise(standing, in: transaction)
        let entries = Dictionary(
            recorded.map { ($0.entry.id, $0) }, uniquingKeysWith: { first, _ in first })
        try await publish(
            raised.map { standing in
                let recorded = entries[standing.decision.entry]
                return (
                    standing, recorded?.entry.source ?? "ledger", recorded?.entry.textVersion,
                    recorded.flatMap { decisions[$0.index].traceparent } ?? traceparent
                )
            }, at: now, in: transaction)
        return recorded
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

    private static func fold(
        _ decisions: [(ProfileID, purpose: String, ConsentDecision)]
    ) -> [StandingConsent] {
        struct Key: Hashable {
            let profileID: ProfileID
            let purpose: String
        }
        var standing: [Key: ConsentDecision] = [:]
        for (profileID, purpose, decision) in decisions {
            let key = Key(profileID: profileID, purpose: purpose)
            standing[key] = mergedConsent(standing[key], decision)
        }
        return standing.map {
            StandingConsent(profileID: $0.key.profileID, purpose: $0.key.purpose, decision: $0.value)
        }
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
        return (0..<32).map { _ in UInt8.random(in: 0...255, using: &generator) }
    }
}
