package import Models

/// Goes through the facts of one person again, when a merge with another was undone: their journeys then stand where
/// they would stand had the two never been taken for one. The merges that stand count from when they were made.
///
/// What was sent is not unsent, and what would have been sent before now is not made up for: a reminder that comes
/// days late helps nobody. What is still to be sent is set right (``IntentReview``). From here on everything goes as if
/// the merge had never been.
package struct JourneyReplay: Sendable {
    /// A trigger that let somebody in, or that only what the person had done before kept from it.
    package struct Considered: Hashable, Sendable {
        package var journey: String
        package var version: Int
        package var triggerKey: String
        /// The passage that it began.
        package var instanceID: InstanceID?

        package init(journey: String, version: Int, triggerKey: String, instanceID: InstanceID? = nil) {
            self.journey = journey
            self.version = version
            self.triggerKey = triggerKey
            self.instanceID = instanceID
        }
    }

    /// A fact with the time at which it arrived.
    package struct Arrival: Sendable {
        package var fact: JourneyFact
        package var at: Instant

        package init(_ fact: JourneyFact, at: Instant) {
            self.fact = fact
            self.at = at
        }
    }

    /// A profile of the person, with what came under it.
    package struct Strand: Sendable {
        package var profileID: ProfileID
        /// Of it the segments are taken; the events are found again.
        package var memory: ProfileMemory
        /// In the order of arrival.
        package var arrivals: [Arrival]

        package init(_ profileID: ProfileID, memory: ProfileMemory = ProfileMemory(), arrivals: [Arrival]) {
            self.profileID = profileID
            self.memory = memory
            self.arrivals = arrivals
        }
    }

    /// A merge that stands, by which one profile, with whoever it stood for, became part of another.
    package struct Joint: Hashable, Sendable {
        package var survivor: ProfileID
        package var merged: ProfileID
        package var mergeID: MergeID
        package var at: Instant

        package init(survivor: ProfileID, merged: ProfileID, mergeID: MergeID, at: Instant) {
            self.survivor = survivor
            self.merged = merged
            self.mergeID = mergeID
            self.at = at
        }
    }

    /// Where the journeys stand, and every message that was asked for on the way.
    package struct Outcome: Sendable {
        package var journeys: ProfileJourneys
        package var intents: [SendIntent]
    }

    private let catalog: JourneyCatalog
    private let considered: [String: [Considered]]

    package init(_ considered: [Considered], catalog: JourneyCatalog) {
        self.catalog = catalog
        var first: [String: [Considered]] = [:]
        for trigger in considered {
            // One trigger may have been refused to one of the two and let in the other; the passage counts.
            let others = first[trigger.triggerKey, default: []].filter { $0.journey != trigger.journey }
            let known = first[trigger.triggerKey, default: []].first { $0.journey == trigger.journey }
            let chosen = known?.instanceID == nil ? trigger : known ?? trigger
            first[trigger.triggerKey] = (others + [chosen]).sorted { $0.journey < $1.journey }
        }
        self.considered = first
    }

    /// The journeys of a person from the facts of all their profiles, at an instant. `joints` are the merges that
    /// stand, in the order in which they were decided.
    package func journeys(
        of profileID: ProfileID, _ strands: [Strand], joints: [Joint] = [], traits: [String: JSON],
        through instant: Instant
    ) -> Outcome {
        var course = Course(strands.map(\.profileID) + [profileID], traits: traits, catalog: catalog)
        for step in Self.steps(strands, joints) {
            switch step {
            case .joint(let joint, let at):
                course.join(joint.merged, to: joint.survivor, joint.mergeID, at: at)
            case .arrival(let arrival, let strand):
                course.apply(arrival, to: strand, through: instant) { considered[$0] ?? [] }
            }
        }
        return course.end(with: profileID, at: instant, after: joints.last?.mergeID)
    }

    private enum Step {
        case joint(Joint, at: Instant)
        case arrival(Arrival, ProfileID)

        var at: Instant {
            switch self {
            case .joint(_, let at): at
            case .arrival(let arrival, _): arrival.at
            }
        }
    }

    /// Everything in the order of time; what arrives at the instant of a merge comes after it.
    private static func steps(_ strands: [Strand], _ joints: [Joint]) -> [Step] {
        var steps: [Step] = []
        var reached = Instant.distantPast
        for joint in joints {
            reached = max(reached, joint.at)
            steps.append(.joint(joint, at: reached))
        }
        for strand in strands {
            let arrivals = strand.memory.segmentFacts(of: strand.profileID) + strand.arrivals
            steps += arrivals.map { .arrival($0, strand.profileID) }
        }
        return steps.enumerated().sorted { ($0.element.at, $0.offset) < ($1.element.at, $1.offset) }
            .map(\.element)
    }
}

/// The journeys of a person's profiles on the way to being one.
private struct Course {
    private let catalog: JourneyCatalog
    private var journeys: [ProfileID: ProfileJourneys] = [:]
    /// Who stands for whom.
    private var survivors: [ProfileID: ProfileID] = [:]
    /// The latest arrival of each.
    private var reached: [ProfileID: Instant] = [:]
    private var intents: [SendIntent] = []

    init(_ profiles: [ProfileID], traits: [String: JSON], catalog: JourneyCatalog) {
        self.catalog = catalog
        for id in profiles { journeys[id] = ProfileJourneys(profileID: id, traits: traits) }
    }

    mutating func apply(
        _ arrival: JourneyReplay.Arrival, to profile: ProfileID, through instant: Instant,
        considered: (String) -> [JourneyReplay.Considered]
    ) {
        let id = standsFor(profile)
        let fact = arrival.fact.settled(by: arrival.at)
        // A fact that came late found the timers fired that were due until it came.
        let latest = max(reached[id] ?? .distantPast, arrival.at)
        reached[id] = latest
        guard var journeys = self.journeys.removeValue(forKey: id) else { return }
        intents +=
            journeys.reapply(
                fact, after: min(latest, instant), considered: considered(fact.triggerKey), catalog: catalog
            ).intents
        self.journeys[id] = journeys
    }

    mutating func join(_ merged: ProfileID, to survivor: ProfileID, _ mergeID: MergeID, at: Instant) {
        let (loser, id) = (standsFor(merged), standsFor(survivor))
        guard loser != id, var journeys = self.journeys[id], let other = self.journeys[loser] else { return }
        intents +=
            journeys.absorb(other, mergeID: mergeID, at: at, position: nil, now: at, catalog: catalog).intents
        self.journeys[id] = journeys
        self.journeys[loser] = nil
        survivors[loser] = id
        reached[id] = [reached[id], reached[loser]].compactMap { $0 }.max()
    }

    /// All that is one person in the end, and where that stands at an instant.
    mutating func end(
        with profileID: ProfileID, at instant: Instant, after mergeID: MergeID?
    ) -> JourneyReplay.Outcome {
        // Whom no merge joins that is known here, one joins that has just been made.
        let last = mergeID ?? MergeID(UUIDv7.derived(at: instant, from: "joint", profileID.description))
        for id in journeys.keys.sorted() where id != standsFor(profileID) {
            join(id, to: profileID, last, at: instant)
        }
        let id = standsFor(profileID)
        guard var journeys = self.journeys[id] else {
            return JourneyReplay.Outcome(journeys: ProfileJourneys(profileID: profileID), intents: [])
        }
        if id != profileID {
            var renamed = ProfileJourneys(profileID: profileID, traits: journeys.traits)
            intents +=
                renamed.absorb(
                    journeys, mergeID: last, at: instant, position: nil, now: instant, catalog: catalog
                ).intents
            journeys = renamed
        }
        intents += journeys.fireTimers(through: instant, catalog: catalog).intents
        return JourneyReplay.Outcome(
            journeys: journeys,
            intents: intents.map { intent in
                var intent = intent
                intent.profileID = profileID
                return intent
            })
    }

    private func standsFor(_ id: ProfileID) -> ProfileID {
        var id = id
        while let survivor = survivors[id] { id = survivor }
        return id
    }
}

extension RefusedEntry {
    /// The reasons that lie in what the person did before, as the history names them.
    package static let ofThePerson: Set<String> = [
        "alreadyRunning", "alreadyEntered", "tooSoon", "beforePreviousEnd", "exitAlreadyHappened",
    ]
}
