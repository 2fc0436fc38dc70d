import Foundation
import Models
import SegmentationDomain
import Testing

@Suite("Scores")
struct ScoreTests {
    private let profile = ProfileID(UUIDv7.derived(at: Instant(milliseconds: 0), from: "profile"))
    private let start = Instant(milliseconds: 1_700_000_000_000)

    private func event(_ name: String, _ after: Duration, _ properties: [String: JSON] = [:])
        -> TrackingEvent
    {
        TrackingEvent(
            messageID: "\(name) \(after.text)", kind: .track, name: name, timestamp: start + after,
            receivedAt: start + after, sourceID: RandomHistory.source, properties: properties)
    }

    private func scoring(_ json: JSON) throws -> Scoring { try Scoring(RuleField(json)) }

    private func score(_ json: JSON, _ events: [TrackingEvent], after: Duration) throws -> String {
        let scoring = try scoring(json)
        var memory = Memory()
        for event in events {
            _ = scoring.remember(
                event, at: event.timestamp, decided: start + after, in: &memory)
        }
        return scoring.standing(memory, at: start + after).points(at: start + after).amount.text
    }

    private func decider(_ scoring: JSON, _ rules: [String: JSON]) throws -> SegmentDecider {
        let segments = try rules.map {
            SegmentDefinition(id: $0.key, version: 1, condition: try RuleReader.read($0.value))
        }
        let score = SegmentDefinition(score: "engagement", version: 4, scoring: try self.scoring(scoring))
        return SegmentDecider(SegmentSet(revision: 1, segments: segments + [score]))
    }

    @Test("each event adds its weight, and half of it is left after a half-life")
    func decay() throws {
        let json: JSON = [
            "events": [["event": "A", "weight": 4], ["event": "B", "weight": "2.5"]], "halfLife": "10d",
        ]
        let events = [event("A", .zero), event("B", .days(10)), event("C", .days(10))]
        #expect(try score(json, [], after: .zero) == "0")
        #expect(try score(json, [events[0]], after: .zero) == "4")
        #expect(try score(json, [events[0]], after: .days(10)) == "2")
        #expect(try score(json, events, after: .days(10)) == "4.5")
        #expect(try score(json, events, after: .days(30)) == "1.125")
        #expect(try score(json, [events[0]], after: .days(5)) == "2.828427")
        #expect(try score(json, events, after: .days(3_000)) == "0")
        #expect(try score(["events": [["event": "A", "weight": 4]]], events, after: .days(3_000)) == "4")
    }

    @Test("of a day only the first events count, by the calendar of the score's zone")
    func perDay() throws {
        let json: JSON = [
            "events": [["event": "A", "weight": 1, "perDay": 2]], "zone": "Europe/Berlin",
        ]
        // 14 November, 23:13 in Berlin.
        let events = [0, 10, 20, 46, 47, 48, 49].map { event("A", .minutes($0)) }
        #expect(try score(json, events, after: .minutes(45)) == "2")
        #expect(try score(json, events, after: .minutes(46)) == "2")
        #expect(try score(json, events, after: .hours(1)) == "4")
        #expect(try score(json, events.reversed(), after: .hours(1)) == "4")
    }

    @Test("a kind of event never brings more than its cap, and decays from there")
    func cap() throws {
        let json: JSON = [
            "events": [
                ["event": "A", "weight": 3, "cap": 5], ["event": "B", "weight": -3, "cap": 4],
                ["event": "C", "weight": 10, "cap": 2],
            ], "halfLife": "1d",
        ]
        let many = (0..<10).map { event("A", .milliseconds($0)) }
        #expect(try score(json, many, after: .milliseconds(9)) == "5")
        #expect(try score(json, many, after: .days(1) + .milliseconds(9)) == "2.5")
        let later = many + [event("A", .days(1) + .milliseconds(9))]
        #expect(try score(json, later, after: .days(1) + .milliseconds(9)) == "5")
        #expect(try score(json, [event("B", .zero), event("B", .days(1))], after: .days(1)) == "-4")
        #expect(try score(json, [event("B", .zero), event("B", .days(2))], after: .days(2)) == "-3.75")
        #expect(try score(json, [event("C", .zero)], after: .zero) == "2")
    }

    @Test("what is above the maximum is taken for it, and counts when it has decayed")
    func maximum() throws {
        let json: JSON = ["events": [["event": "A", "weight": 8]], "halfLife": "1d", "maximum": 5]
        let events = [event("A", .zero), event("A", .milliseconds(1))]
        #expect(try score(json, events, after: .milliseconds(1)) == "5")
        #expect(try score(json, events, after: .days(1) + .milliseconds(1)) == "5")
        #expect(try score(json, events, after: .days(2) + .milliseconds(1)) == "3.999999")
    }

    @Test(
        "a number is passed at one millisecond, and that is when the segment changes",
        arguments: ["1ms", "7ms", "1h", "7d", "30d", "365d", "3660d"])
    func crossing(halfLife: String) throws {
        let length = try #require(Duration(text: halfLife))
        let json: JSON = ["events": [["event": "A", "weight": 10]], "halfLife": .string(halfLife)]
        for bound in ["9.999", "7", "5", "3.3", "0.01", "0.000001"] {
            let decider = try decider(
                json,
                [
                    "warm": ["score": ["id": "engagement", "atLeast": .string(bound)]],
                    "cold": ["score": ["id": "engagement", "lessThan": .string(bound)]],
                ])
            var state = decider.newState()
            let first = decider.apply(event("A", .zero), to: &state, of: profile)
            #expect(first.map { "\($0.segment) \($0.change)" } == ["warm entered"])
            let changes = decider.advance(&state, to: .distantFuture, of: profile)
            #expect(changes.map { "\($0.segment) \($0.change)" } == ["cold entered", "warm exited"])
            #expect(changes[0].at == changes[1].at && changes[0].reason == .time)
            // On paper: when 10 · 2^(−t/H) is the number, rounded up to the millisecond, and one more where it is the
            // number at that millisecond exactly.
            let paper = log2(10 / (try #require(Double(bound)))) * Double(length.milliseconds)
            let found = Double((changes[0].at - start).milliseconds)
            #expect(found > paper - 0.01 && found <= paper + 1.01, "\(found) for \(paper)")
            let scoring = try scoring(json)
            var memory = Memory()
            _ = scoring.remember(event("A", .zero), at: start, decided: start, in: &memory)
            let standing = scoring.standing(memory, at: changes[0].at)
            let number = Points(try #require(Amount(decimal: bound)))
            #expect(standing.points(at: changes[0].at) < number)
            #expect(standing.points(at: changes[0].at - .milliseconds(1)) >= number)
        }
    }

    @Test("a change says what the score came to, before and at the instant, and what moved it")
    func evidence() throws {
        let decider = try decider(
            ["events": [["event": "A", "weight": 8], ["event": "B", "weight": 4]], "halfLife": "1d"],
            ["warm": "score engagement at least 2"])
        var state = decider.newState()
        var changes = decider.apply(event("A", .zero), to: &state, of: profile)
        changes += decider.advance(&state, to: start + .days(5), of: profile)
        #expect(changes.map(\.at) == [start, start + .days(2) + .milliseconds(1)])
        let entered = try #require(changes[0].evidence["conditions"])
        #expect(entered[path: "details.score"] == "8")
        #expect(entered[path: "details.version"] == 4)
        #expect(entered[path: "details.parts.0"] == ["text": "8 for \"A\"", "count": 1, "points": "8"])
        #expect(entered[path: "events.0.messageId"] == .string(event("A", .zero).messageID))
        #expect(entered[path: "events.0.amount"] == "8")
        #expect(changes[1].evidence[path: "before.details.score"] == "2")
        #expect(changes[1].evidence[path: "conditions.details.score"] == "1.999999")
        let lack = try #require(decider.explain("warm", of: state, at: start + .days(3))?.whyNot)
        #expect(lack.text == "score engagement at least 2: 1, at least 2 is needed; 1 is missing")
    }

    @Test("in whatever order events arrive, the score is the same to the last unit")
    func order() throws {
        try eachSeed(120) { random in
            var rules = RandomRules(generator: SeededGenerator(seed: random.next()), scale: .calendars[0])
            var history = RandomHistory(
                generator: SeededGenerator(seed: random.next()), name: "m", rules: [:], scale: .calendars[0])
            let scoring = try scoring(rules.scoring())
            var facts: [TrackingEvent] = []
            // Over a span in which the first have nothing left when the last come.
            for number in 0..<40 {
                var event = history.next(after: [])
                event.timestamp = event.timestamp + .hours(number * random.below(12))
                event.receivedAt = max(event.receivedAt, event.timestamp)
                facts.append(event)
            }
            let end = facts.map { SegmentDecider.instant(of: $0) }.max() ?? start
            func standing(_ facts: [TrackingEvent]) -> ScoreStanding {
                var memory = Memory()
                for fact in facts {
                    let instant = SegmentDecider.instant(of: fact)
                    _ = scoring.remember(fact, at: instant, decided: end, in: &memory)
                }
                return scoring.standing(memory, at: end)
            }
            let sorted = standing(
                facts.sorted {
                    (SegmentDecider.instant(of: $0), $0.messageID)
                        < (SegmentDecider.instant(of: $1), $1.messageID)
                })
            for _ in 0..<5 {
                let shuffled = standing(facts.shuffled(using: &random))
                #expect(shuffled.at == sorted.at)
                for after in [0, 1, 1_000, 86_400_000] {
                    let instant = end + .milliseconds(after)
                    #expect(shuffled.points(at: instant) == sorted.points(at: instant))
                }
            }
        }
    }

    @Test("at every millisecond the engine says what the sum on paper says")
    func everyMillisecond() throws {
        try eachSeed(25) { random in
            var rules = RandomRules(generator: SeededGenerator(seed: random.next()))
            let scoring = rules.scoring()
            rules.scores = ["engagement"]
            let rule: JSON = ["score": rules.scoreCondition()]
            var history = RandomHistory(
                generator: SeededGenerator(seed: random.next()), name: "m", rules: [:])
            let decider = try decider(scoring, ["s": rule])
            var state = decider.newState()
            var facts: [TrackingEvent] = []
            for _ in 0..<8 {
                facts.append(history.next(after: facts))
                _ = decider.apply(facts[facts.count - 1], to: &state, of: profile)
            }
            let oracle = PlainOracle(rule: rule, scores: ["engagement": scoring])
            let latest = state.decidedAt
            for after in 0..<1_500 {
                let instant = latest + .milliseconds(after)
                _ = decider.advance(&state, to: instant, of: profile)
                let wanted = oracle.holds(facts, at: instant)
                guard state.segments["s"]?.isMember == wanted else {
                    Issue.record("\(after): oracle says \(wanted) for \(rule.compact) \(scoring.compact)")
                    return
                }
            }
        }
    }

    @Test("of very many events the latest count, in whatever order they come")
    func many() throws {
        for (json, wanted) in [
            (["event": "A", "weight": 1], "10000"), (["event": "A", "weight": 1, "perDay": 500], "10000"),
        ] as [(JSON, String)] {
            let scoring = try scoring(["events": [json]])
            var random = SeededGenerator(seed: 3)
            let events = (0..<10_100).map { event("A", .minutes($0 * 10)) }
            var found: Set<[Instant]> = []
            for events in [events, events.shuffled(using: &random)] {
                var memory = Memory()
                for event in events {
                    _ = scoring.remember(event, at: event.timestamp, decided: start, in: &memory)
                }
                found.insert(memory.occurrences.map(\.at))
                let standing = scoring.standing(memory, at: start + .days(100))
                if json["perDay"] == nil { #expect(standing.points(at: standing.at).amount.text == wanted) }
            }
            #expect(found.count == 1)
            // 20 days, of 144 events each but the last.
            #expect(found.first?.count == (json["perDay"] == nil ? 10_000 : 19 * 144 + 9))
        }
    }

    @Test(
        "a mistake is told with its place",
        arguments: [
            (#"{}"#, "events: a list"), (#"{"events": []}"#, "events: a list of 1 to 20"),
            (#"{"events": [{"event": "A"}]}"#, "events.0.weight: how many points"),
            (#"{"events": [{"event": "A", "weight": 0}]}"#, "events.0.weight: how many points"),
            (#"{"events": [{"event": "A", "weight": 2000000}]}"#, "events.0.weight: how many points"),
            (#"{"events": [{"event": "A", "weight": 1, "perday": 2}]}"#, "events.0.perday: no such field"),
            (#"{"events": [{"event": "A", "weight": 1, "perDay": 0}]}"#, "events.0.perDay: a whole number"),
            (#"{"events": [{"event": "A", "weight": 1, "cap": -1}]}"#, "events.0.cap: a number above 0"),
            (#"{"events": [{"event": "A", "weight": 1}], "halfLife": "soon"}"#, "halfLife: a length of time"),
            (#"{"events": [{"event": "A", "weight": 1}], "zone": "Berlin"}"#, "zone: a time zone"),
            (
                #"{"events": [{"event": "A", "weight": 1, "where": [{"property": "x", "withinLast": "1d"}]}]}"#,
                "events.0.where: filters without times"
            ),
        ])
    func mistakes(json: String, wanted: String) throws {
        let field = RuleField(try JSONParser.parse(json))
        do {
            _ = try Scoring(field)
            Issue.record("\(json) was taken")
        } catch {
            #expect("\(error.path): \(error.expected)".hasPrefix(wanted), "\(error)")
        }
    }

    @Test("how a score is made up is read from its JSON as it was")
    func json() throws {
        for seed in 0..<UInt64(100) {
            var rules = RandomRules(generator: SeededGenerator(seed: seed), scale: .calendars[1])
            let scoring = try scoring(rules.scoring())
            #expect(try self.scoring(scoring.json) == scoring)
        }
    }

    private func eachSeed(_ count: UInt64, _ body: (inout SeededGenerator) throws -> Void) throws {
        let given = ProcessInfo.processInfo.environment["MARTLET_SEED"].flatMap { UInt64($0) }
        let seed = given ?? UInt64.random(in: 0...UInt64(UInt32.max))
        print("seed \(seed)")
        for number in 0..<count {
            var random = SeededGenerator(seed: seed &+ number)
            do { try body(&random) } catch {
                Issue.record("\(error); repeat with MARTLET_SEED=\(seed &+ number)")
            }
        }
    }
}

@Suite("Exponential decay in whole numbers")
struct HalfLifeTests {
    @Test("it is that of the exponential function, halves exactly, and never grows")
    func decay() {
        var random = SeededGenerator(seed: 7)
        for _ in 0..<4_000 {
            let length = Int64(1) << Int64(random.below(38)) + Int64(random.below(1_000))
            let halfLife = HalfLife(.milliseconds(length))
            let points = Points(units: Int128(random.next()) << Int128(random.below(33)))
            let elapsed = Int64.random(in: 0...(length * 20), using: &random)
            let left = halfLife.decay(points, over: .milliseconds(elapsed))
            let wanted = Double(points.units) * pow(2, -Double(elapsed) / Double(length))
            #expect(abs(Double(left.units) - wanted) <= wanted * 1e-13 + 2)
            #expect(halfLife.decay(-points, over: .milliseconds(elapsed)) == -left)
            let later = halfLife.decay(points, over: .milliseconds(elapsed + 1))
            #expect(later <= left)
            if left.units > 1 << 60 { #expect(later < left) }
            let halved = halfLife.decay(points, over: .milliseconds(elapsed + length))
            #expect(halved.units == left.units / 2 || halved.units == left.units >> 1)
            #expect(halfLife.decay(points, over: halfLife.silence(after: points)) == .zero)
        }
    }

    @Test("over whole half-lives nothing is lost but the last bit")
    func halvings() {
        let halfLife = HalfLife(.days(7))
        for count in 0..<60 {
            let points = Points(units: 1 << 60)
            #expect(halfLife.decay(points, over: .days(7 * count)).units == (1 << 60) >> count)
        }
    }
}
