package import Models

/// Goes through the facts of one person again, when a merge with another was undone: their journeys then stand where
/// they would stand had the two never been taken for one.
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

    /// The journeys of a person from their facts, in the order of arrival, at an instant. Of `memory` the segments are
    /// taken; the events are found again.
    package func journeys(
        of profileID: ProfileID, traits: [String: JSON], memory: ProfileMemory, arrivals: [Arrival],
        through instant: Instant
    ) -> Outcome {
        var journeys = ProfileJourneys(profileID: profileID, traits: traits)
        var reached = Instant.distantPast
        var intents: [SendIntent] = []
        let arrivals = (memory.segmentFacts(of: profileID) + arrivals).sorted { $0.at < $1.at }
        for arrival in arrivals {
            let fact = arrival.fact.settled(by: arrival.at)
            // A fact that came late found the timers fired that were due until it came.
            reached = max(reached, arrival.at)
            intents +=
                journeys.reapply(
                    fact, after: min(reached, instant), considered: considered[fact.triggerKey] ?? [],
                    catalog: catalog
                ).intents
        }
        intents += journeys.fireTimers(through: instant, catalog: catalog).intents
        return Outcome(journeys: journeys, intents: intents)
    }
}

extension RefusedEntry {
    /// The reasons that lie in what the person did before, as the history names them.
    package static let ofThePerson: Set<String> = [
        "alreadyRunning", "alreadyEntered", "tooSoon", "beforePreviousEnd", "exitAlreadyHappened",
    ]
}
