import Foundation
import Models
import Testing

@testable import SegmentationDomain

@Suite("The room that one profile takes")
struct RoomTests {
    private let profile = ProfileID(UUIDv7.derived(at: Instant(milliseconds: 0), from: "profile"))
    private let start = Instant(milliseconds: 1_700_000_000_000)

    private func segments(_ rules: [JSON]) throws -> [SegmentDefinition] {
        try rules.enumerated().map {
            SegmentDefinition(
                id: "s\($0.offset)", version: 1, condition: try RuleReader.read($0.element))
        }
    }

    private func event(_ number: Int, _ name: String = "A", at instant: Instant) -> TrackingEvent {
        var event = TrackingEvent(
            messageID: "m\(number)", kind: .track, name: name, timestamp: instant, receivedAt: instant,
            sourceID: RandomHistory.source, properties: ["total": .integer(Int64(number % 7))])
        event.position = TimelinePosition(shard: Shard(profile), offset: Int64(number) + 1)
        return event
    }

    @Test("is shared as if whoever has most gave up one at a time")
    func shares() async throws {
        try await OracleTests.eachCase(300) { random in
            var random = random
            let counts = (0..<(1 + random.below(8))).map { _ in random.below(12) }
            let limit = random.below(30)
            var plain = counts
            while plain.reduce(0, +) > limit, let most = plain.max(), let first = plain.firstIndex(of: most) {
                plain[first] -= 1
            }
            #expect((Room.shares(of: counts, in: limit) ?? counts) == plain, "\(counts) in \(limit)")
        }
    }

    @Test(
        "is never exceeded; each condition is decided as if nothing had been before what it says is forgotten, and as ever where that is nothing"
    )
    func random() async throws {
        try await OracleTests.eachCase(200) { random in
            var random = random
            var rules = RandomRules(generator: SeededGenerator(seed: random.next()))
            var written: [JSON] = []
            while written.count < 5 {
                let rule = rules.rule(depth: 1)
                if rule["trait"] == nil || random.chance(10) { written.append(rule) }
            }
            // A condition that keeps one event alone must not lose it for lack of a place: really there are thousands.
            let least = SegmentSet(revision: 1, segments: try segments(written)).conditions.count
            let room = max(least, 3 + random.below(25))
            let set = SegmentSet(revision: 1, segments: try segments(written), room: room)
            let decider = SegmentDecider(set)
            var state = decider.newState()
            var history = RandomHistory(
                generator: SeededGenerator(seed: random.next()), name: "m", rules: RandomHistory.rules[0])
            var facts: [TrackingEvent] = []
            for _ in 0..<(10 + random.below(40)) {
                let fact = history.next(after: facts)
                facts.append(fact)
                _ = decider.apply(fact, to: &state, of: profile)
                if random.chance(20) {
                    _ = decider.advance(
                        &state, to: state.decidedAt + .milliseconds(random.below(400)), of: profile)
                }
                if random.chance(20) { state = try PackedState(state).state(set.layout) }
                let counted = state.memories.reduce(0) { $0 + $1.memory.occurrences.count }
                guard counted <= room, counted == state.remembered else {
                    throw Crowded(description: "\(counted) of \(room) are remembered, \(state.remembered)")
                }
                for (place, rule) in written.enumerated() {
                    let memories = set.slots[place].filter { $0 >= 0 }.map { state.memory($0) }
                    let memory = try #require(memories.first)
                    // What is made of several conditions has a cut for each.
                    guard memories.count == 1 || memories.allSatisfy({ $0.cut == nil }) else { continue }
                    let known = facts.filter { !memory.hasForgotten($0, at: SegmentDecider.instant(of: $0)) }
                    let wanted = PlainOracle(rule: rule).holds(known, at: state.decidedAt)
                    let found = state.segments["s\(place)"]?.isMember
                    guard found == wanted else {
                        throw Crowded(
                            description: "\(rule.compact): oracle says \(wanted), "
                                + "\(known.count) of \(facts.count) known, \(memory)")
                    }
                }
            }
        }
    }

    private struct Crowded: Error, CustomStringConvertible { let description: String }

    @Test("is filled alike by a history that is read in any order, and by events as they come")
    func rebuilding() async throws {
        try await OracleTests.eachCase(60) { random in
            var random = random
            let rules = (0..<6).map { number -> JSON in
                [
                    "sum": [
                        "event": number < 3 ? "A" : "B", "property": "total",
                        "within": .string("\(900 + number)d"),
                        "atLeast": 10,
                    ]
                ]
            }
            let set = SegmentSet(revision: 1, segments: try segments(rules), room: 40 + random.below(200))
            let decider = SegmentDecider(set)
            let events = (0..<(50 + random.below(150))).map {
                event($0, random.chance(70) ? "A" : "B", at: start + .milliseconds($0))
            }
            var live = decider.newState()
            for event in events { _ = decider.apply(event, to: &live, of: profile) }
            var read = ProfileState(revision: 0)
            read.decidedAt = live.decidedAt
            _ = decider.refresh(
                &read, with: events.shuffled(using: &random), now: live.decidedAt, of: profile)
            for slot in set.conditions.indices {
                #expect(read.memory(slot).occurrences == live.memory(slot).occurrences)
                #expect(read.memory(slot).cut == live.memory(slot).cut)
            }
        }
    }

    @Test(
        "200 rules over what a bot does all the time: what is kept is bounded, and who asks for little, or for sums of all time, is answered exactly"
    )
    func bot() throws {
        // All of it with MARTLET_CASES=20; it takes minutes where nothing is optimised.
        let times = ProcessInfo.processInfo.environment["MARTLET_CASES"].flatMap { Int($0) } ?? 1
        let count = 10_000 * times
        let greedy = (0..<196).map { number -> JSON in
            [
                "sum": [
                    "event": "A", "property": "total", "within": .string("\(3_000 + number)d"), "atLeast": 1,
                ]
            ]
        }
        let modest: [JSON] = [
            ["count": ["event": "A", "atLeast": 100, "within": "30d"]],
            ["sum": ["event": "A", "property": "total", "exactly": .integer(total(count))]],
            ["average": ["event": "A", "property": "total", "lessThan": 3]],
            ["ratio": ["of": ["event": "A"], "to": ["event": ["A", "B"]], "exactly": 1]],
        ]
        let set = SegmentSet(revision: 1, segments: try segments(greedy + modest))
        let decider = SegmentDecider(set)
        var state = decider.newState()
        // As a backfill reads it, all but the last, and these as they come.
        let live = 50
        var history = decider.history(for: ProfileState(revision: 0), now: start + .milliseconds(count))
        for number in 0..<(count - live) { history.take(event(number, at: start + .milliseconds(number))) }
        var read = ProfileState(revision: 0)
        read.decidedAt = start + .milliseconds(count - live - 1)
        _ = decider.refresh(&read, with: history, now: read.decidedAt, of: profile)
        state = read
        for number in (count - live)..<count {
            _ = decider.apply(event(number, at: start + .milliseconds(number)), to: &state, of: profile)
            #expect(state.remembered <= RuleLimits.remembered)
        }
        for place in modest.indices {
            let id = "s\(greedy.count + place)"
            let isMember = place == 2 ? mean(count) < 3 : true
            #expect(state.segments[id]?.isMember == isMember, "\(modest[place].compact)")
        }
        #expect(state.forgotten > 0)
        let packed = PackedState(state)
        print("\(count) events: \(state.remembered) remembered, \(packed.bytes.count) bytes packed")
        #expect(packed.bytes.count < 1 << 20)
        #expect(try packed.state(set.layout) == state)
        let why = try #require(decider.explain("s0", of: state, at: state.decidedAt))
        #expect(why.json["notice"]?.string?.contains("50,000") == true)
        let exact = try #require(decider.explain("s197", of: state, at: state.decidedAt))
        #expect(exact.json["notice"] == nil && exact.json["eventCount"] == .integer(Int64(count)))
        #expect(exact.json[path: "unlisted.first.messageId"] == "m0")
    }

    private func total(_ count: Int) -> Int64 { (0..<Int64(count)).reduce(0) { $0 + $1 % 7 } }
    private func mean(_ count: Int) -> Double { Double(total(count)) / Double(count) }

    @Test("a sum of all time is exact over more events than are kept one by one, in whatever order they come")
    func tallies() throws {
        let rules: [JSON] = [
            ["sum": ["event": "A", "property": "total", "exactly": .integer(total(30_000))]],
            ["average": ["event": "A", "property": "total", "atLeast": 2, "since": "2020-01-01T00:00:00Z"]],
            ["ratio": ["of": ["event": "A"], "to": ["event": "B"], "exactly": 14_999]],
        ]
        let set = SegmentSet(revision: 1, segments: try segments(rules))
        let decider = SegmentDecider(set)
        for isBackwards in [false, true] {
            var state = decider.newState()
            let ordered = (0..<30_000).map { event($0, at: start + .milliseconds($0)) }
            for event in isBackwards ? ordered.reversed() : ordered {
                _ = decider.apply(event, to: &state, of: profile)
            }
            for number in 0..<2 {
                let other = event(40_000 + number, "B", at: start + .milliseconds(number))
                _ = decider.apply(other, to: &state, of: profile)
            }
            // The same once more changes nothing.
            _ = decider.apply(ordered[29_999], to: &state, of: profile)
            // Also one of those that are not kept one by one, as it comes of the latest thousand.
            state = try PackedState(state).state(set.layout)
            for number in isBackwards ? [5, 900] : [29_000, 29_890] {
                _ = decider.apply(ordered[number], to: &state, of: profile)
            }
            #expect(state.remembered <= 300)
            for id in ["s0", "s1"] { #expect(state.segments[id]?.isMember == true) }
            let ratio = try #require(decider.explain("s2", of: state, at: state.decidedAt))
            #expect(ratio.json[path: "details.of"] == 30_000 && ratio.json[path: "details.to"] == 2)
            #expect(state.segments["s2"]?.isMember == false)
            let sum = try #require(decider.explain("s0", of: state, at: state.decidedAt))
            #expect(sum.json["eventCount"] == 30_000 && sum.json["events"]?.array?.count == 100)
            #expect(sum.json[path: "unlisted.count"] == 29_900)
            #expect(sum.json[path: "unlisted.maximum"] == "6" && sum.json[path: "unlisted.minimum"] == "0")
            #expect(sum.json[path: "unlisted.last.messageId"] == "m29899")
            #expect(try PackedState(state).state(set.layout) == state)
            #expect(try ProfileState(json: JSONParser.parse(state.json.compact)) == state)
        }
    }
}
