import ConsentDomain
package import JourneysDomain
package import Models
package import Postgres
package import ProfileStore
import Sealing
import Streams

/// The profiles that one transaction decides about: locked and loaded, decided in memory, written at the end.
package struct ProfileDesk {
    private struct Wanted {
        var intent: SendIntent
        var traceparent: String?
    }

    private let tables: ProfileTables
    private let transaction: PostgresTransaction
    private let profiles: ProfileStore
    private let catalog: JourneyCatalog

    private var open: [ProfileID: ProfileJourneys] = [:]
    /// Who stands for whom.
    private var survivors: [ProfileID: ProfileID] = [:]
    private var asked: Set<ProfileID>
    /// Those whose merges are to be told.
    private let merging: Set<ProfileID>
    /// Whom each of these stands for here, and where everybody of their people stands by identity.
    private var held: [ProfileID: Set<ProfileID>] = [:]
    private var standings: [ProfileID: ProfileStanding] = [:]
    /// Those who are somebody else by identity than who stands for them here, and those who were erased.
    package private(set) var astray: Set<ProfileID> = []
    private var moves: [(loser: ProfileID, survivor: ProfileID)] = []
    private var erased: [ProfileID] = []
    private var history: [HistoryEntry] = []
    private var wanted: [Wanted] = []
    private var renewed: [(correction: IntentCorrection, traceparent: String?)] = []

    package init(
        _ ids: Set<ProfileID>, merging: Set<ProfileID> = [], profiles: ProfileStore, catalog: JourneyCatalog,
        in transaction: PostgresTransaction
    ) async throws {
        self.transaction = transaction
        self.profiles = profiles
        self.catalog = catalog
        self.merging = merging
        asked = ids
        tables = ProfileTables(transaction: transaction, vault: profiles.vault)
        try await take(ids)
    }

    /// Locks and reads profiles.
    private mutating func take(_ ids: Set<ProfileID>) async throws {
        var missing = ids
        var memories: [ProfileID: ProfileMemory] = [:]
        var locked: Set<ProfileID> = []
        // A profile that was merged stands for its survivor, which has to be locked as well.
        while !missing.isEmpty {
            let rows = try await tables.lock(missing)
            for (id, row) in rows {
                if let survivor = row.survivor { survivors[id] = survivor } else { memories[id] = row.memory }
            }
            locked.formUnion(rows.keys)
            missing = Set(rows.values.compactMap(\.survivor)).subtracting(locked)
        }
        let known = try await profiles.standings(of: locked, in: transaction)
        standings.merge(known) { $1 }
        astray = locked.filter { id in
            guard let own = known[id] else { return false }
            return own.isErased || own.canonicalID != (known[standsFor(id)] ?? own).canonicalID
        }
        // What still comes of somebody who was erased, out of a page that was read before or of another stream, would be
        // remembered for ever. The rows are locked: an erasure that is not seen here is read of after this.
        for id in memories.keys where known[id]?.isErased ?? false {
            memories[id] = nil
            erase(id)
        }
        try await learn(of: merging.intersection(ids))
        try await load(memories)
    }

    /// Reads again what was changed by somebody else in this transaction; everything must have been written.
    package mutating func reload(_ ids: Set<ProfileID>) async throws {
        for id in ids {
            open[id] = nil
            survivors[id] = nil
            held[id] = nil
        }
        try await take(asked.intersection(ids))
    }

    /// Asks with whom those who are merged are one, here and by identity.
    private mutating func learn(of ids: Set<ProfileID>) async throws {
        guard !ids.isEmpty else { return }
        let holders = Set(ids.map { standsFor($0) })
        for holder in holders { held[holder] = [holder] }
        for (id, holder) in try await tables.standing(forAnyOf: holders) { held[holder]?.insert(id) }
        standings.merge(try await profiles.standings(ofAllWith: ids, in: transaction)) { $1 }
    }

    private mutating func load(_ memories: [ProfileID: ProfileMemory]) async throws {
        let ids = memories.keys.sorted()
        guard !ids.isEmpty else { return }
        let running = try await tables.running(ids)
        let past = try await tables.past(ids)
        let traits = try await catalog.asksTraits || catalog.consent != nil ? traits(of: ids) : [:]
        let consents = try await catalog.consent == nil ? [:] : consents(of: ids)
        let restricted = try await restricted(among: ids)
        for id in ids {
            open[id] = ProfileJourneys(
                profileID: id, traits: traits[id] ?? [:], memory: memories[id] ?? ProfileMemory(),
                running: running[id] ?? [], past: past[id] ?? [:])
            open[id]?.consents = consents[id] ?? [:]
            open[id]?.isRestricted = restricted.contains(id)
        }
    }

    private func traits(of ids: [ProfileID]) async throws -> [ProfileID: [String: JSON]] {
        let people = try await profiles.people(ids, in: transaction)
        let stored = try await profiles.storedTraits(
            of: Array(Set(people.values.flatMap(\.memberIDs))).sorted(), in: transaction)
        let byMember = Dictionary(grouping: stored, by: \.profileID)
        return people.mapValues { person in
            var traits = EffectiveTraits()
            for trait in person.memberIDs.flatMap({ byMember[$0] ?? [] }) {
                traits.apply(trait.entry, to: trait.name)
            }
            return traits.values
        }
    }

    /// Those who are restricted, or are one with somebody who is. Under no lock: delivery asks again when it sends.
    private func restricted(among ids: [ProfileID]) async throws -> Set<ProfileID> {
        guard try await profiles.isAnybodyRestricted(in: transaction) else { return [] }
        let people = try await profiles.people(ids, in: transaction)
        let restricted = try await profiles.restricted(
            Set(people.values.flatMap(\.memberIDs)).sorted(), in: transaction)
        return Set(people.filter { !restricted.isDisjoint(with: $0.value.memberIDs) }.keys)
    }

    private func consents(of ids: [ProfileID]) async throws -> [ProfileID: [String: ConsentWord]] {
        let people = try await profiles.people(ids, in: transaction)
        let consents = try await profiles.consents(of: people.values, in: transaction)
        return people.mapValues { person in
            (consents[person.profileID] ?? [:]).mapValues { ConsentWord($0.state, at: $0.at) }
        }
    }

    // MARK: Deciding

    /// Whether a timer of the profile is due by the instant.
    package func hasTimer(_ id: ProfileID, dueBy instant: Instant) -> Bool {
        guard let due = open[standsFor(id)]?.nextDeadline(catalog) else { return false }
        return due <= instant
    }

    /// Whether a merge that this service has seen put the profile into another.
    package func isMerged(_ id: ProfileID) -> Bool { survivors[id] != nil }

    /// Whether an event that is told of one profile, and arrived under another, shows that this service doesn't know yet
    /// whose it is.
    package func isAstray(_ id: ProfileID, arrivedUnder member: ProfileID) -> Bool {
        guard standsFor(id) != standsFor(member), let standing = standings[member] else { return false }
        return standing.canonicalID != standsFor(member)
    }

    /// What a merge that is told means here.
    package enum MergeSign {
        /// It is nothing new.
        case known
        /// Two people become one, and that is all that identity says of them.
        case plain
        /// Something else has happened as well.
        case unclear
    }

    package func sign(of merged: ProfileID, into survivor: ProfileID) -> MergeSign {
        // Of somebody whom identity doesn't know there is nothing but what is told.
        guard let canonical = standings[survivor]?.canonicalID else { return .plain }
        let (id, loser) = (standsFor(survivor), standsFor(merged))
        let here = held[id, default: []].union(held[loser, default: []])
        let person = Set(standings.filter { $0.value.canonicalID == canonical }.keys)
        guard id == canonical, here == person else { return .unclear }
        return id == loser ? .known : .plain
    }

    package mutating func apply(_ fact: JourneyFact, to id: ProfileID, now: Instant, traceparent: String?) {
        let id = standsFor(id)
        guard var journeys = open[id] else { return }
        take(journeys.apply(fact, now: now, catalog: catalog), traceparent)
        open[id] = journeys
    }

    package mutating func fireTimers(of id: ProfileID, through instant: Instant) {
        let id = standsFor(id)
        guard var journeys = open[id] else { return }
        take(journeys.fireTimers(through: instant, catalog: catalog), nil)
        open[id] = journeys
    }

    package mutating func merge(
        _ merged: ProfileID, into survivor: ProfileID, mergeID: MergeID, at: Instant,
        position: StreamPosition?, now: Instant
    ) {
        let survivor = standsFor(survivor)
        let loser = standsFor(merged)
        guard survivor != loser, var journeys = open[survivor], let other = open[loser] else { return }
        let decision = journeys.absorb(
            other, mergeID: mergeID, at: at, position: position, now: now, catalog: catalog)
        take(decision, nil)
        open[survivor] = journeys
        open[loser] = nil
        survivors[loser] = survivor
        moves.append((loser, survivor))
        held[survivor, default: []].formUnion(held.removeValue(forKey: loser) ?? [])
        // What was recorded of the loser in this transaction has moved with it.
        for index in history.indices where history[index].profileID == loser {
            history[index].profileID = survivor
        }
        for index in wanted.indices where wanted[index].intent.profileID == loser {
            wanted[index].intent.profileID = survivor
        }
        for index in renewed.indices where renewed[index].correction.profileID == loser {
            renewed[index].correction.profileID = survivor
        }
    }

    package mutating func erase(_ id: ProfileID) {
        let id = standsFor(id)
        erased.append(id)
        history.removeAll { $0.profileID == id }
        wanted.removeAll { $0.intent.profileID == id }
        renewed.removeAll { $0.correction.profileID == id }
        open[id] = nil
    }

    private mutating func take(_ decision: Decision, _ traceparent: String?) {
        history += decision.history
        wanted += decision.intents.map { Wanted(intent: $0, traceparent: traceparent) }
        renewed += decision.renewals.map { ($0, traceparent) }
    }

    private func standsFor(_ id: ProfileID) -> ProfileID {
        var id = id
        while let survivor = survivors[id] { id = survivor }
        return id
    }

    // MARK: Writing

    /// Writes everything that was decided, in the same transaction as the checkpoint.
    package mutating func commit(at now: Instant) async throws {
        for (loser, survivor) in moves { try await tables.move(loser, to: survivor) }
        if !erased.isEmpty { _ = try await tables.erase(erased, at: now) }
        let open = self.open.values
        try await tables.write(
            memories: Dictionary(
                open.filter(\.memoryChanged).map { ($0.profileID, $0.memory) }, uniquingKeysWith: { $1 }),
            at: now)
        let changed = open.flatMap(\.changed.values)
        try await tables.write(instances: changed, at: now)
        if try await tables.write(deadlinesOf: changed, paused: catalog.isPaused) {
            try await DeadlineSweeper.notify(schema: ServiceName.journeys.schema, in: transaction)
        }
        try await tables.write(history: history, at: now)
        let intents = wanted.sorted { $0.intent.at < $1.intent.at }
        try await tables.write(intents: intents.map(\.intent))
        let traces = Dictionary(
            renewed.map { ($0.correction.intentID, $0.traceparent) }, uniquingKeysWith: { $1 })
        let renewals = try await tables.write(corrections: renewed.map(\.correction))
        try await StreamWriter(.intents, sealing: profiles.vault.days).append(
            intents.map { wanted in
                NewRecord(.wanted(wanted.intent), of: wanted.intent.profileID, wanted.traceparent)
            }
                + renewals.map { correction, profile in
                    NewRecord(.corrected(correction), of: profile, traces[correction.intentID] ?? nil)
                }, at: now, in: transaction)
        (moves, erased, history, wanted, renewed) = ([], [], [], [], [])
        for id in self.open.keys { self.open[id]?.settle() }
    }
}

extension NewRecord {
    /// What is said of an intent, in the shard of the profile under which it was told first.
    init(_ fact: IntentFact, of profile: ProfileID, _ traceparent: String? = nil) {
        self.init(
            shard: Shard(profile), key: profile.description, body: fact.json, traceparent: traceparent)
    }
}
