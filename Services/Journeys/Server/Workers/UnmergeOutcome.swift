import JourneysDomain
import Models

/// What going through the facts again comes to.
struct UnmergeOutcome {
    /// From whom to whom passages go.
    struct Move: Hashable {
        var from: ProfileID
        var to: ProfileID
    }

    private let occasion: GoingThrough.Occasion
    private let told: [InstanceID: [ToldIntent]]
    /// Where the passages are.
    private let holders: [InstanceID: ProfileID]
    /// The earliest timer that was due and had not been fired; what comes after it has yet to be asked for.
    private let unfired: Instant
    var changed: [InstanceState] = []
    var history: [HistoryEntry] = []
    var memories: [ProfileID: ProfileMemory] = [:]
    var corrections: [IntentCorrection] = []
    /// Refusals that go from one profile to another.
    var refusals: [Move: [HistoryID]] = [:]
    /// Messages that are asked for now.
    var due: [SendIntent] = []

    init(
        _ occasion: GoingThrough.Occasion, told: [ToldIntent], passages: [ProfileTables.Passage]
    ) {
        self.occasion = occasion
        self.told = Dictionary(grouping: told, by: \.instanceID)
        holders = Dictionary(
            passages.map { ($0.state.id, $0.state.profileID) }, uniquingKeysWith: { $1 })
        unfired =
            passages.compactMap { InstanceDecider.nextDeadline($0.state) }.filter { $0 <= occasion.now }.min()
            ?? .distantFuture
    }

    /// The passages that go from one profile to another.
    var moves: [Move: [InstanceID]] {
        var moves: [Move: [InstanceID]] = [:]
        for state in changed {
            guard let from = holders[state.id], from != state.profileID else { continue }
            moves[Move(from: from, to: state.profileID), default: []].append(state.id)
        }
        return moves
    }

    mutating func take(
        _ replayed: JourneyReplay.Outcome, instead former: [ProfileTables.Passage], catalog: JourneyCatalog
    ) {
        let journeys = replayed.journeys
        review(replayed, former, catalog)
        memories[journeys.profileID] = journeys.memory
        let cause = Cause.unmerge(occasion.mergeID, occasion.position)
        let known = Dictionary(former.map { ($0.state.id, $0) }, uniquingKeysWith: { $1 })
        for var state in journeys.changed.values {
            guard let definition = catalog.definition(of: state.journey, version: state.version) else {
                continue
            }
            let before = known[state.id]?.state
            state.entries = max(state.entries, before?.entries ?? 0)
            for intent in told[state.id] ?? [] {
                state.sentBefore[InstanceState.send(intent.step, visit: intent.visit)] = intent.id
            }
            if let before, Self.isSame(before, state) { continue }
            history +=
                InstanceDecider(definition)
                .restate(&state, from: before?.profileID ?? state.profileID, at: occasion.now, cause: cause)
                .history
            changed.append(state)
        }
        for passage in former where journeys.changed[passage.state.id] == nil {
            var state = passage.state
            let former = state.profileID
            state.profileID = journeys.profileID
            if let definition = catalog.definition(of: state.journey, version: state.version) {
                let decider = InstanceDecider(definition)
                if state.isRunning {
                    history +=
                        decider.end(
                            &state, reason: InstanceDecider.unmerged, at: occasion.now, cause: cause
                        ).history
                } else {
                    state.endReason = InstanceDecider.unmerged
                    history += decider.restate(&state, from: former, at: occasion.now, cause: cause).history
                }
            }
            changed.append(state)
        }
    }

    /// What is true of the messages that the passages asked for.
    private mutating func review(
        _ replayed: JourneyReplay.Outcome, _ former: [ProfileTables.Passage], _ catalog: JourneyCatalog
    ) {
        // Timers of a journey that stands still were not fired, and nothing at all by a definition that is gone.
        let untold = Set(
            former.map(\.state).filter { state in
                catalog.definition(of: state.journey, version: state.version) == nil
                    || catalog.isPaused(state.journey)
                        && replayed.journeys.changed[state.id] != nil
            }.map(\.id))
        let review = IntentReview(of: replayed.journeys.profileID, wanted: replayed.intents) {
            !untold.contains($0)
        }
        corrections += review.corrections(
            of: former.flatMap { told[$0.state.id] ?? [] }, undoing: occasion.mergeID, at: occasion.now,
            unfired: unfired)
        due += IntentReview.due(
            replayed.intents, beside: told.values.flatMap(\.self), unfired: unfired)
    }

    private static func isSame(_ before: InstanceState, _ after: InstanceState) -> Bool {
        var before = before
        before.entries = after.entries
        before.sentBefore = after.sentBefore
        return before == after
    }
}
