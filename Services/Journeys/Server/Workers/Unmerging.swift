import FoundationEssentials
import JourneysDomain
import Models
import Postgres
import ProfileStore
import Sealing
import Streams

/// Gives the journeys of one person back to the two that they turn out to be, when a merge was undone.
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

    func unmerge(_ order: Order) async throws {
        let (holder, memory) = try await lock(order)
        let everybody = try await tables.standing(for: holder)
        let told = try await tables.toldIntents(of: holder)
        if try await isOneAgain(order) {
            try await tell([], of: told, members: everybody, order)
            return
        }
        let split = Set(order.members)
        let passages = try await tables.passages(of: holder)
        var sides = [
            try await side(holder, everybody.subtracting(split).union([holder]), memory, order),
            try await side(order.split, split, ProfileMemory(), order),
        ]
        var owner: [InstanceID: Int] = [:]
        for passage in passages {
            let state = passage.state
            let index =
                sides.firstIndex { $0.messages.contains(state.triggerKey) }
                ?? sides.firstIndex { $0.members.contains { origin in began(state, origin) } } ?? 0
            owner[state.id] = index
            sides[index].arrivals += segmentFacts(of: passage)
        }
        let refused = try await tables.refusedTriggers(of: holder)
        let replay = JourneyReplay(
            passages.map {
                JourneyReplay.Considered(
                    journey: $0.state.journey, version: $0.state.version, triggerKey: $0.state.triggerKey,
                    instanceID: $0.state.id)
            } + refused, catalog: catalog)
        let traits = try await self.traits(of: sides.map(\.id))
        var outcome = UnmergeOutcome(order: order, holder: holder, told: told.map(\.intent))
        for (index, side) in sides.enumerated() {
            let replayed = replay.journeys(
                of: side.id, traits: traits[side.id] ?? [:], memory: side.segments,
                arrivals: side.arrivals.sorted { $0.at < $1.at }, through: order.now)
            outcome.take(
                replayed, instead: passages.filter { owner[$0.state.id] == index }, catalog: catalog)
        }
        try await write(outcome, order)
        try await tell(outcome.corrections, of: told, members: everybody.union(order.members), order)
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
        _ id: ProfileID, _ members: Set<ProfileID>, _ segments: ProfileMemory, _ order: Order
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

    /// The changes of segments that let a passage begin and end.
    private func segmentFacts(of passage: ProfileTables.Passage) -> [JourneyReplay.Arrival] {
        let state = passage.state
        var changes: [MembershipChange] = []
        if let segment = state.trigger["segment"]?.string {
            changes.append(
                MembershipChange(
                    profileID: state.profileID, segment: segment, change: .entered, at: state.enteredAt,
                    version: Int(state.trigger["version"]?.integer ?? 1), reason: .event,
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
        return changes.map { JourneyReplay.Arrival(JourneyFact(.segment($0)), at: $0.at) }
    }

    private func traits(of ids: [ProfileID]) async throws -> [ProfileID: [String: JSON]] {
        guard catalog.asksTraits else { return [:] }
        var traits: [ProfileID: [String: JSON]] = [:]
        for (id, person) in try await profiles.people(ids, in: transaction) {
            traits[id] = try await profiles.traits(of: person, in: transaction).values
        }
        return traits
    }

    private func write(_ outcome: UnmergeOutcome, _ order: Order) async throws {
        try await tables.release(order.members, to: order.split)
        try await tables.hand(
            outcome.changed.filter { $0.profileID == order.split }.map(\.id), from: outcome.holder,
            to: order.split)
        try await tables.write(memories: outcome.memories, at: order.now)
        try await tables.write(instances: outcome.changed, at: order.now)
        if try await tables.write(deadlinesOf: outcome.changed, paused: catalog.isPaused) {
            try await DeadlineSweeper.notify(schema: ServiceName.journeys.schema, in: transaction)
        }
        try await tables.write(history: outcome.history, at: order.now)
    }

    /// Tells delivery what is true of the messages now, and wherever it may hold one, that all of it has been told.
    private func tell(
        _ corrections: [IntentCorrection], of told: [ProfileTables.Told], members: Set<ProfileID>,
        _ order: Order
    ) async throws {
        let corrected = try await tables.write(corrections: corrections)
        // Only an intent that may still be sent can be asked about.
        let lively = told.filter { order.now - $0.intent.at <= SendIntent.lifetime }
        let places = Dictionary(
            members.union(lively.map(\.streamProfile)).union(corrected.map(\.1)).map { (Shard($0), $0) },
            uniquingKeysWith: min)
        let records =
            corrected.map { NewRecord(.corrected($0), of: $1, order.traceparent) }
            + places.values.sorted().map {
                NewRecord(.unmerged(order.mergeID, at: order.at), of: $0, order.traceparent)
            }
        try await StreamWriter(.intents, sealing: profiles.vault.days)
            .append(records, at: order.now, in: transaction)
    }
}
