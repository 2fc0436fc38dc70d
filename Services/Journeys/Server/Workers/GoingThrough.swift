import FoundationEssentials
import JourneysDomain
import Models
import Postgres
import ProfileStore
import Sealing
import Streams

/// Goes through the facts of people again who were taken for one, and sets right what they have of it.
struct GoingThrough {
    /// Because of what.
    struct Occasion {
        /// The merge that was undone.
        var mergeID: MergeID
        var position: StreamPosition?
        var now: Instant
        var traceparent: String?
    }

    /// One of the people.
    struct Side {
        var id: ProfileID
        /// Each profile of theirs.
        var strands: [Strand]
        var joints: [JourneyReplay.Joint]
        var isErased: Bool
    }

    struct Strand {
        var id: ProfileID
        var arrivals: [JourneyReplay.Arrival]
        var messages: Set<String>
        var segments: ProfileMemory
    }

    /// Whose passage it is.
    private struct Owner: Hashable {
        var side: ProfileID
        var strand: ProfileID
    }

    let catalog: JourneyCatalog
    let profiles: ProfileStore
    let transaction: PostgresTransaction
    let occasion: Occasion
    private let tables: ProfileTables

    init(
        catalog: JourneyCatalog, profiles: ProfileStore, transaction: PostgresTransaction, occasion: Occasion
    ) {
        self.catalog = catalog
        self.profiles = profiles
        self.transaction = transaction
        self.occasion = occasion
        tables = ProfileTables(transaction: transaction, vault: profiles.vault)
    }

    /// Reads what people have done.
    func sides(
        of people: [ProfileID: Set<ProfileID>], in grouping: Grouping
    ) async throws -> [Side] {
        var sides: [Side] = []
        for (id, members) in people.sorted(by: { $0.key < $1.key }) {
            let past = try await tables.past(of: members.sorted())
            let merges = try await profiles.standingMerges(among: members, in: transaction)
            sides.append(
                Side(
                    id: id,
                    strands: members.sorted().map {
                        strand($0, past.arrivals[$0] ?? [], grouping.memories[$0])
                    },
                    joints: merges.filter { members.contains($0.survivor) }.map { merge in
                        JourneyReplay.Joint(
                            survivor: merge.survivor, merged: merge.merged, mergeID: merge.id,
                            at: past.merges[merge.id] ?? merge.at)
                    }, isErased: grouping.erased.contains(id)))
        }
        return sides
    }

    private func strand(
        _ id: ProfileID, _ arrivals: [JourneyReplay.Arrival], _ segments: ProfileMemory?
    ) -> Strand {
        let facts = arrivals.filter {
            guard case .event(let event) = $0.fact.body else { return false }
            return event.kind == .track && catalog.eventNames.contains(event.name ?? "")
        }
        return Strand(
            id: id, arrivals: facts, messages: Set(facts.map(\.fact.triggerKey)),
            segments: segments ?? ProfileMemory())
    }

    /// Goes through the facts of all, and compares with what the holders of their passages have.
    func outcome(
        for sides: [Side], of holders: [ProfileID], by histories: SegmentHistories?
    ) async throws -> UnmergeOutcome {
        var passages: [ProfileTables.Passage] = []
        var told: [ProfileTables.Told] = []
        var refusals: [ProfileTables.Refusal] = []
        for holder in holders {
            passages += try await tables.passages(of: holder)
            told += try await tables.toldIntents(of: holder)
            refusals += try await tables.refusals(of: holder)
        }
        let active = histories == nil ? [:] : try await tables.activeSince()
        let traits = try await self.traits(of: sides.map(\.id))
        let owners = passages.compactMap { owner(of: $0.state, among: sides, by: histories) }
        var outcome = UnmergeOutcome(occasion, told: told.map(\.intent), passages: passages)
        for side in sides {
            let messages = side.strands.reduce(into: Set<String>()) { $0.formUnion($1.messages) }
            for refusal in refusals
            where refusal.holder != side.id && messages.contains(refusal.considered.triggerKey) {
                outcome.refusals[.init(from: refusal.holder, to: side.id), default: []].append(refusal.id)
            }
            var triggers = refusals.map(\.considered)
            for (passage, owner) in zip(passages, owners) {
                triggers.append(
                    JourneyReplay.Considered(
                        journey: passage.state.journey, version: passage.state.version,
                        triggerKey: passage.state.triggerKey,
                        instanceID: owner.side == side.id ? passage.state.id : nil))
            }
            var strands: [JourneyReplay.Strand] = []
            for strand in side.strands {
                let changes = histories?.changes(of: strand.id) ?? []
                triggers += entries(in: changes, active)
                var arrivals = strand.arrivals
                for (passage, owner) in zip(passages, owners)
                where owner == Owner(side: side.id, strand: strand.id) {
                    arrivals += segmentFacts(of: passage, on: strand.id, unlessToldBy: histories)
                }
                arrivals += changes.map { JourneyReplay.Arrival(JourneyFact(.segment($0)), at: $0.at) }
                strands.append(
                    JourneyReplay.Strand(strand.id, memory: strand.segments, arrivals: arrivals))
            }
            let replayed = JourneyReplay(triggers, catalog: catalog).journeys(
                of: side.id, strands, joints: side.joints, traits: traits[side.id] ?? [:],
                through: occasion.now)
            let own = zip(passages, owners).filter { $1.side == side.id }.map(\.0)
            outcome.take(replayed, instead: own, catalog: catalog)
        }
        return outcome
    }

    /// Whose passage it is: whose event let it in, or whose entry into a segment, else who began it; of what nobody
    /// began who is here, whoever holds it. Of somebody erased nothing may come to be another's, so theirs is all that
    /// isn't known to be somebody else's.
    private func owner(
        of passage: InstanceState, among sides: [Side], by histories: SegmentHistories?
    ) -> Owner? {
        let all = sides.flatMap { side in side.strands.map { (side: side, strand: $0) } }
        func owner(_ place: (side: Side, strand: Strand)) -> Owner {
            Owner(side: place.side.id, strand: place.strand.id)
        }
        if let doer = all.first(where: { $0.strand.messages.contains(passage.triggerKey) }) {
            return owner(doer)
        }
        let presumed =
            all.first { began(passage, $0.strand.id) } ?? all.first { $0.side.isErased }
            ?? all.first { $0.strand.id == passage.profileID } ?? all.first
        guard let presumed else { return nil }
        let chosen = histories?.owner(of: passage, among: all.map(\.strand.id), presumed: presumed.strand.id)
        return owner(all.first { $0.strand.id == chosen } ?? presumed)
    }

    /// The entries into segments that would have let somebody in: into journeys that stood then as they do now.
    private func entries(
        in changes: [MembershipChange], _ active: [String: Instant]
    ) -> [JourneyReplay.Considered] {
        changes.filter { $0.change == .entered }.flatMap { change in
            catalog.open.map(\.definition).filter { definition in
                definition.entry.trigger == .segmentEntered(change.segment)
                    && active[definition.id].map { $0 <= change.at } ?? false
            }.map { definition in
                JourneyReplay.Considered(
                    journey: definition.id, version: definition.version,
                    triggerKey: JourneyFact(.segment(change)).triggerKey)
            }
        }
    }

    /// Whether the passage began with this profile, which its id tells.
    private func began(_ state: InstanceState, _ profileID: ProfileID) -> Bool {
        InstanceDecider.id(
            of: state.journey, enteredAt: state.enteredAt, by: profileID, triggerKey: state.triggerKey)
            == state.id
    }

    /// The changes of segments that let a passage begin and end, as far as nobody knows better.
    private func segmentFacts(
        of passage: ProfileTables.Passage, on strand: ProfileID, unlessToldBy histories: SegmentHistories?
    ) -> [JourneyReplay.Arrival] {
        let state = passage.state
        var changes: [MembershipChange] = []
        if let segment = state.trigger["segment"]?.string {
            changes.append(
                MembershipChange(
                    profileID: state.profileID, segment: segment, change: .entered, at: state.enteredAt,
                    version: state.triggerVersion, reason: .event,
                    evidence: state.trigger["evidence"] ?? [:]))
        }
        if state.endReason == "segment", let ended = state.endedAt,
            let segment = passage.exitCause?["segment"]?.string
        {
            changes.append(
                MembershipChange(
                    profileID: state.profileID, segment: segment, change: .exited, at: ended,
                    version: Int(passage.exitCause?["version"]?.integer ?? 1), reason: .event, evidence: [:]))
        }
        return changes.filter { change in
            guard let histories, histories.tell(of: strand) else { return true }
            return !histories.tell(of: change.segment, version: change.version, at: change.at)
        }.map { JourneyReplay.Arrival(JourneyFact(.segment($0)), at: $0.at) }
    }

    private func traits(of ids: [ProfileID]) async throws -> [ProfileID: [String: JSON]] {
        guard catalog.asksTraits else { return [:] }
        var traits: [ProfileID: [String: JSON]] = [:]
        for (id, person) in try await profiles.people(ids, in: transaction) {
            traits[id] = try await profiles.traits(of: person, in: transaction).values
        }
        return traits
    }

    // MARK: Writing

    func write(_ outcome: UnmergeOutcome) async throws {
        for (move, instances) in outcome.moves {
            try await tables.hand(instances, from: move.from, to: move.to)
        }
        for (move, refusals) in outcome.refusals {
            try await tables.hand(refusals, from: move.from, to: move.to)
        }
        try await tables.write(memories: outcome.memories, at: occasion.now)
        try await tables.write(instances: outcome.changed, at: occasion.now)
        if try await tables.write(deadlinesOf: outcome.changed, paused: catalog.isPaused) {
            try await DeadlineSweeper.notify(schema: ServiceName.journeys.schema, in: transaction)
        }
        try await tables.write(history: outcome.history, at: occasion.now)
        try await tables.write(intents: outcome.due)
        try await append(outcome.due.map { NewRecord(.wanted($0), of: $0.profileID, occasion.traceparent) })
    }

    /// Notes what is true of messages, and tells delivery, with what is to be said where that is told.
    func tell(
        _ corrections: [IntentCorrection], then others: ([ProfileID]) -> [NewRecord] = { _ in [] }
    ) async throws {
        let corrected = try await tables.write(corrections: corrections)
        try await append(
            corrected.map { NewRecord(.corrected($0), of: $1, occasion.traceparent) }
                + others(corrected.map(\.1)))
    }

    private func append(_ records: [NewRecord]) async throws {
        guard !records.isEmpty else { return }
        try await StreamWriter(.intents, sealing: profiles.vault.days)
            .append(records, at: occasion.now, in: transaction)
    }
}
