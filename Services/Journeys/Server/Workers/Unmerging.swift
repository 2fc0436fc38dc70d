import FoundationEssentials
import JourneysDomain
import Models
import Postgres
import ProfileStore
import Sealing
import Streams

/// Gives the journeys of one person back to the two that they turn out to be, when a merge was undone.
///
/// Their events are known at once. Which segments they would have been in is told by segmentation, before or after: then
/// their journeys are gone through once more, and only then delivery is told of their messages, which it holds until it is.
struct Unmerging {
    let catalog: JourneyCatalog
    let profiles: ProfileStore
    let transaction: PostgresTransaction
    private let tables: ProfileTables

    init(catalog: JourneyCatalog, profiles: ProfileStore, transaction: PostgresTransaction) {
        self.catalog = catalog
        self.profiles = profiles
        self.transaction = transaction
        tables = ProfileTables(transaction: transaction, vault: profiles.vault)
    }

    /// What the fact says.
    struct Order {
        var profileID: ProfileID
        var split: ProfileID
        var members: [ProfileID]
        var mergeID: MergeID
        var at: Instant
        var position: StreamPosition
        var now: Instant
        var traceparent: String?
    }

    /// One of the two people.
    private struct Side {
        var id: ProfileID
        var members: Set<ProfileID>
        var arrivals: [JourneyReplay.Arrival]
        var messages: Set<String>
        var segments: ProfileMemory
    }

    /// Takes the journeys apart.
    func unmerge(_ order: Order) async throws {
        try await tables.lock(unmerging: order.mergeID)
        let (holder, memory) = try await lock(order)
        try await tables.begin(order, holder: holder)
        let everybody = try await tables.standing(for: holder)
        if try await isOneAgain(order) {
            try await finish([], of: [holder], members: everybody, order)
            return
        }
        let split = Set(order.members)
        let sides = [
            try await side(holder, everybody.subtracting(split).union([holder]), memory),
            try await side(order.split, split, ProfileMemory()),
        ]
        let outcome = try await goThrough(sides, of: [holder], by: nil, order)
        try await tables.release(order.members, to: order.split)
        try await write(outcome, order)
        if catalog.asksSegments {
            try await settle(order.mergeID, at: order.position, now: order.now, order.traceparent)
        } else {
            try await finish(
                outcome.corrections, of: [holder, order.split], members: everybody.union(order.members), order
            )
        }
    }

    /// Takes what segmentation tells of one of the two.
    func take(
        _ history: MembershipHistory, at position: StreamPosition, now: Instant, _ traceparent: String?
    ) async throws {
        try await tables.lock(unmerging: history.mergeID)
        try await tables.keep(history, at: now)
        try await settle(history.mergeID, at: position, now: now, traceparent)
    }

    /// Goes through the journeys of the two once more and tells delivery of it, if all is known that it takes.
    private func settle(
        _ mergeID: MergeID, at position: StreamPosition, now: Instant, _ traceparent: String?
    ) async throws {
        guard let known = try await tables.unsettled(mergeID), known.told.count == 2 else { return }
        var order = Order(
            profileID: known.profileID, split: known.split, members: [], mergeID: mergeID, at: known.at,
            position: position, now: now, traceparent: traceparent)
        var people: [(id: ProfileID, memory: ProfileMemory)] = []
        for id in [known.holder, known.split] {
            order.profileID = id
            people.append(try await lock(order))
        }
        let ids = people.map(\.id)
        var members = Set([known.profileID, known.holder, known.split])
        for id in ids { members.formUnion(try await tables.standing(for: id)) }
        // If either has become part of somebody else in the meantime, that is what counts now.
        guard ids == [known.holder, known.split] else {
            try await finish([], of: Array(Set(ids)), members: members, order)
            return
        }
        var sides: [Side] = []
        for person in people {
            sides.append(
                try await side(person.id, try await tables.standing(for: person.id), person.memory))
        }
        let outcome = try await goThrough(
            sides, of: ids, by: try await histories(known, for: ids, now: now), order)
        try await write(outcome, order)
        try await finish(outcome.corrections, of: ids, members: members, order)
    }

    /// What was told, under the profiles that hold the journeys here, with the events that templates speak of.
    private func histories(
        _ known: ProfileTables.Unsettled, for ids: [ProfileID], now: Instant
    ) async throws -> SegmentHistories {
        let triggers = TriggerEvents(vault: profiles.vault)
        var histories: [MembershipHistory] = []
        for var history in known.told {
            for index in history.changes.indices {
                history.changes[index] = try await triggers.completed(
                    history.changes[index], catalog, now: now, in: transaction)
            }
            if history.profileID == known.profileID { history.profileID = known.holder }
            histories.append(history)
        }
        return SegmentHistories(histories)
    }

    // MARK: Going through

    /// Goes through the facts of both, and compares with what the holders of their passages have.
    private func goThrough(
        _ sides: [Side], of holders: [ProfileID], by histories: SegmentHistories?, _ order: Order
    ) async throws -> UnmergeOutcome {
        var passages: [ProfileTables.Passage] = []
        var told: [ProfileTables.Told] = []
        var considered: [JourneyReplay.Considered] = []
        for holder in holders {
            passages += try await tables.passages(of: holder)
            told += try await tables.toldIntents(of: holder)
            considered += try await tables.refusedTriggers(of: holder)
        }
        let active = histories == nil ? [:] : try await tables.activeSince()
        let traits = try await self.traits(of: sides.map(\.id))
        let owners = passages.map { owner(of: $0.state, among: sides, by: histories) }
        var outcome = UnmergeOutcome(order: order, told: told.map(\.intent), passages: passages)
        for side in sides {
            let changes = histories?.changes(of: side.id) ?? []
            var arrivals = side.arrivals
            var triggers = considered + entries(in: changes, active)
            for (passage, owner) in zip(passages, owners) {
                triggers.append(
                    JourneyReplay.Considered(
                        journey: passage.state.journey, version: passage.state.version,
                        triggerKey: passage.state.triggerKey,
                        instanceID: owner == side.id ? passage.state.id : nil))
                if owner == side.id { arrivals += segmentFacts(of: passage, unlessToldBy: histories) }
            }
            arrivals += changes.map { JourneyReplay.Arrival(JourneyFact(.segment($0)), at: $0.at) }
            let replayed = JourneyReplay(triggers, catalog: catalog).journeys(
                of: side.id, traits: traits[side.id] ?? [:], memory: side.segments,
                arrivals: arrivals, through: order.now)
            outcome.take(
                replayed, instead: zip(passages, owners).filter { $1 == side.id }.map(\.0), catalog: catalog)
        }
        return outcome
    }

    /// Whose passage it is: whose event let it in, or whose entry into a segment, else who began it.
    private func owner(
        of passage: InstanceState, among sides: [Side], by histories: SegmentHistories?
    ) -> ProfileID {
        if let side = sides.first(where: { $0.messages.contains(passage.triggerKey) }) { return side.id }
        let beginner = sides.first { $0.members.contains { began(passage, $0) } }
        let presumed = beginner?.id ?? sides[0].id
        return histories?.owner(of: passage, among: sides.map(\.id), presumed: presumed) ?? presumed
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

    /// Whether the two are one person once more by now. Then this service may have read of the new merge already, when
    /// they still were one person here, and would never hear of it again.
    private func isOneAgain(_ order: Order) async throws -> Bool {
        let people = try await profiles.people([order.profileID, order.split], in: transaction)
        guard let one = people[order.profileID], let other = people[order.split] else { return false }
        return one.profileID == other.profileID
    }

    /// Locks who holds the journeys now, and those who go.
    private func lock(_ order: Order) async throws -> (ProfileID, ProfileMemory) {
        var holder = order.profileID
        while true {
            let locked = try await tables.lock(Set(order.members).union([holder, order.split]))
            guard let row = locked[holder] else { return (holder, ProfileMemory()) }
            guard let survivor = row.survivor else { return (holder, row.memory) }
            holder = survivor
        }
    }

    private func side(
        _ id: ProfileID, _ members: Set<ProfileID>, _ segments: ProfileMemory
    ) async throws -> Side {
        let facts = try await tables.events(of: members.sorted()).filter {
            guard case .event(let event) = $0.fact.body else { return false }
            return event.kind == .track && catalog.eventNames.contains(event.name ?? "")
        }
        return Side(
            id: id, members: members, arrivals: facts, messages: Set(facts.map(\.fact.triggerKey)),
            segments: segments)
    }

    /// Whether the passage began with this profile, which its id tells.
    private func began(_ state: InstanceState, _ profileID: ProfileID) -> Bool {
        InstanceDecider.id(
            of: state.journey, enteredAt: state.enteredAt, by: profileID, triggerKey: state.triggerKey)
            == state.id
    }

    /// The changes of segments that let a passage begin and end, as far as nobody knows better.
    private func segmentFacts(
        of passage: ProfileTables.Passage, unlessToldBy histories: SegmentHistories?
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
            !(histories?.tell(of: change.segment, version: change.version, at: change.at) ?? false)
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

    private func write(_ outcome: UnmergeOutcome, _ order: Order) async throws {
        for (move, instances) in outcome.moves {
            try await tables.hand(instances, from: move.from, to: move.to)
        }
        try await tables.write(memories: outcome.memories, at: order.now)
        try await tables.write(instances: outcome.changed, at: order.now)
        if try await tables.write(deadlinesOf: outcome.changed, paused: catalog.isPaused) {
            try await DeadlineSweeper.notify(schema: ServiceName.journeys.schema, in: transaction)
        }
        try await tables.write(history: outcome.history, at: order.now)
        try await tables.write(intents: outcome.due)
        try await append(
            outcome.due.map { NewRecord(.wanted($0), of: $0.profileID, order.traceparent) }, order)
    }

    /// Tells delivery what is true of the messages now, and wherever it may hold one, that all of it has been told.
    private func finish(
        _ corrections: [IntentCorrection], of holders: [ProfileID], members: Set<ProfileID>, _ order: Order
    ) async throws {
        let corrected = try await tables.write(corrections: corrections)
        var places = members.union(corrected.map(\.1))
        for holder in holders {
            // Only an intent that may still be sent can be asked about.
            for told in try await tables.toldIntents(of: holder)
            where order.now - told.intent.at <= SendIntent.lifetime { places.insert(told.streamProfile) }
        }
        let ends = Dictionary(places.map { (Shard($0), $0) }, uniquingKeysWith: min)
        try await append(
            corrected.map { NewRecord(.corrected($0), of: $1, order.traceparent) }
                + ends.values.sorted().map {
                    NewRecord(.unmerged(order.mergeID, at: order.at), of: $0, order.traceparent)
                }, order)
        try await tables.settle(order.mergeID, at: order.now)
    }

    private func append(_ records: [NewRecord], _ order: Order) async throws {
        guard !records.isEmpty else { return }
        try await StreamWriter(.intents, sealing: profiles.vault.days)
            .append(records, at: order.now, in: transaction)
    }
}
