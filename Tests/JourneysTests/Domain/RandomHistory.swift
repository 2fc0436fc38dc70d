import FoundationEssentials
import JourneysDomain
import Models

/// Something that happens to the journeys of a profile.
enum TestAction {
    /// A fact arrives at an instant.
    case fact(JourneyFact, now: Instant)
    /// The sweeper fires what is due.
    case sweep(now: Instant)
    /// The process ends and another goes on with what was written.
    case restart
}

/// Makes histories: events and changes of segments, some late, some ahead of time, some twice.
enum RandomHistory {
    static let start = Instant(milliseconds: 1_790_000_000_000)
    static let profile = ProfileID(UUIDv7.derived(at: start, from: "profile"))

    static func make(seed: UInt64, orderly: Bool) -> [TestAction] {
        var random = TestSeed(seed)
        var actions: [TestAction] = []
        var facts: [JourneyFact] = []
        var now = start
        for number in 0..<Int.random(in: 1...25, using: &random) {
            // A coarse grid, so that facts and timers meet in the same instant.
            now = now + .minutes(30) * Int.random(in: 0...30, using: &random)
            var at = now
            if !orderly {
                if random.chance(25) { at = now - .minutes(30) * Int.random(in: 1...60, using: &random) }
                if random.chance(5) { at = now + .hours(Int.random(in: 1...48, using: &random)) }
            }
            if !orderly, random.chance(10), let again = facts.last {
                actions.append(.fact(again, now: now))
            } else {
                let fact = fact(number, at: at, &random)
                facts.append(fact)
                actions.append(.fact(fact, now: now))
            }
            if random.chance(30) { actions.append(.restart) }
            if random.chance(30) {
                now = now + .minutes(30) * Int.random(in: 0...100, using: &random)
                actions.append(.sweep(now: now))
            }
        }
        actions.append(.sweep(now: now + .days(15)))
        return actions
    }

    private static func fact(_ number: Int, at: Instant, _ random: inout TestSeed) -> JourneyFact {
        if random.chance(75) {
            return event(
                random.pick(RandomJourney.events), "m\(number)", at: at,
                ["n": .integer(Int64.random(in: 0...3, using: &random))])
        }
        return JourneyFact(
            .segment(
                MembershipChange(
                    profileID: profile, segment: random.pick(RandomJourney.segments),
                    change: random.chance(60) ? .entered : .exited, at: at, version: 1, reason: .event,
                    evidence: [:])))
    }

    static func event(
        _ name: String, _ id: String, at: Instant, _ properties: [String: JSON] = [:]
    ) -> JourneyFact {
        JourneyFact(.event(trackingEvent(name, id, at: at, properties)))
    }

    static func trackingEvent(
        _ name: String, _ id: String, at: Instant, _ properties: [String: JSON] = [:]
    ) -> TrackingEvent {
        TrackingEvent(
            messageID: id, kind: .track, name: name, userID: "u", timestamp: at, receivedAt: at,
            sourceID: SourceID(UUIDv7.derived(at: start, from: "source")), properties: properties)
    }
}
