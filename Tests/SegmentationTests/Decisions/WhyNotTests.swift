import Models
import SegmentationDomain
import Testing

@Suite("Why somebody is not in a segment")
struct WhyNotTests {
    private let profile = ProfileID(UUIDv7.derived(at: Instant(milliseconds: 0), from: "profile"))
    private let now = Instant(milliseconds: 1_700_000_000_000)

    private func event(_ name: String, _ ago: Duration, _ properties: [String: JSON] = [:]) -> TrackingEvent {
        TrackingEvent(
            messageID: "\(name) \(ago.text)", kind: .track, name: name, timestamp: now - ago, receivedAt: now,
            sourceID: RandomHistory.source, properties: properties)
    }

    private func whyNot(_ rule: String, _ events: [TrackingEvent], also: [String: String] = [:]) throws
        -> Lack?
    {
        let rules = also.merging(["s": rule]) { $1 }
        let decider = SegmentDecider(
            SegmentSet(
                revision: 1,
                segments: try rules.map {
                    SegmentDefinition(id: $0.key, version: 1, condition: try RuleText.read($0.value))
                }))
        var state = decider.newState()
        for event in events { _ = decider.apply(event, to: &state, of: profile) }
        _ = decider.advance(&state, to: now, of: profile)
        return try #require(decider.explain("s", of: state, at: now)).whyNot
    }

    @Test(
        "each condition says what it found and by how much it fails",
        arguments: [
            (#"did "A" at least 3 times"#, "2 of 3 times; 1 more is needed", "1"),
            (#"did "A" at least 5 times in 2 hours"#, "1 of 5 times; 4 more are needed", "4"),
            (#"did "A" at most 1 time"#, "2 times, 1 more than 1", "1"),
            (
                #"did not do "A" in 24 hours"#, "it happened 1 hour ago; 23 hours more without it are needed",
                "23h"
            ),
            (#"sum of total over "A" at least 50"#, "12.5, at least 50 is needed; 37.5 is missing", "37.5"),
            (
                #"average of total over "A" less than 5"#, "6.25, less than 5 is asked; 1.25 is too much",
                "1.25"
            ),
            (#"minimum of total over "B" at least 1"#, "there are no values", ""),
            (#"distinct total over "A" at least 3 values"#, "2 of 3 values; 1 more is needed", "1"),
            (
                #"first "A" was less than 24 hours ago"#,
                "1 day 2 hours ago, less than 1 day is asked; 2 hours is too much", "2h"
            ),
            (
                #"last "A" was at least 3 hours ago"#,
                "1 hour ago, at least 3 hours is asked; 2 hours is missing", "2h"
            ),
            (#"last "B" was at least 3 hours ago"#, "it never happened", ""),
            (
                #"did "A" and then no "B" for 27 hours"#,
                "unanswered for 1 day 2 hours of 1 day 3 hours; 1 hour is missing", "1h"
            ),
            (#"did "A" then did "B" then did "C""#, #"1 of 3 steps; next is "B""#, "2"),
            (#"did "B" then did "C""#, #"0 of 2 steps; next is "B""#, "2"),
            (
                #"did "A" where total > 10 and not did "B" within 2 days after"#,
                #"1 day 23 hours without "B" are missing"#, "1d23h"
            ),
            (
                #"ratio of "A" to "D" is at least 3"#,
                "2 to 1, which is 2, at least 3 is needed; 1 is missing", "1"
            ),
            (#"ratio of "A" to "B" is at least 3"#, "0 of 1 event; 1 more is needed", "1"),
            (#"trait plan = "pro""#, "nothing is known", ""),
            ("has identifier email", "no event carried one", ""),
            ("age by birthday at least 18 years in UTC", "there is no date of birth", ""),
        ])
    func findings(rule: String, finding: String, difference: String) throws {
        let events = [
            event("A", .hours(26), ["total": 0]), event("A", .hours(1), ["total": "12.50"]),
            event("D", .minutes(1)),
        ]
        guard case .condition(let explanation, nil)? = try whyNot(rule, events) else {
            Issue.record("\(rule) holds")
            return
        }
        #expect(explanation.finding == finding)
        let told = explanation.details["missing"] ?? explanation.details["excess"]
        #expect(told?.string ?? told?.integer.map { String($0) } ?? "" == difference)
    }

    @Test("of numbers at opposite ends the difference stops where amounts do", arguments: [true, false])
    func extremes(isLow: Bool) throws {
        let (high, low): (JSON, JSON) = ("9000000000000", "-9000000000000")
        let total = isLow ? low : high
        for key in ["sum", "average", "minimum", "maximum"] {
            for comparison in ["atLeast", "greaterThan", "atMost", "lessThan", "exactly", "between"] {
                let bound = isLow ? high : low
                var members: [String: JSON] = ["event": "A", "property": "total"]
                members[comparison] = comparison == "between" ? [bound, bound] : bound
                let condition = try RuleReader.read(.object([key: .object(members)]))
                let decider = SegmentDecider(
                    SegmentSet(
                        revision: 1, segments: [SegmentDefinition(id: "s", version: 1, condition: condition)])
                )
                var state = decider.newState()
                for minutes in 1...3 {
                    _ = decider.apply(
                        event("A", .minutes(minutes), ["total": total]), to: &state, of: profile)
                }
                let explained = try #require(decider.explain("s", of: state, at: now))
                let isHeld = isLow ? ["atMost", "lessThan"] : ["atLeast", "greaterThan"]
                #expect(explained.holds == isHeld.contains(comparison), "\(key) \(comparison)")
                guard !explained.holds else { continue }
                let told = explained.details["missing"] ?? explained.details["excess"]
                #expect(told == high, "\(key) \(comparison)")
            }
        }
    }

    @Test("of groups those conditions are named that have to change, also below a not")
    func groups() throws {
        let events = [event("A", .hours(1))]
        let lack = try whyNot(
            #"did "A" and did "B" and not (did "A" or did "C") and (did "D" or trait plan = "pro")"#, events)
        let json = try #require(lack?.json)
        let parts = try #require(json["each"]?.array)
        #expect(parts.map { $0["text"]?.string } == [#"did "B""#, #"did "A""#, nil])
        #expect(parts.map { $0["holds"]?.bool } == [false, true, nil])
        #expect(
            parts[2]["oneOf"]?.array?.map { $0["text"]?.string } == [#"did "D""#, #"trait plan = "pro""#])
        #expect(lack?.text.contains(#"must not be: did "A": 1 time"#) == true)
        #expect(try whyNot(#"did "A""#, events) == nil)
    }

    @Test("for another segment its own rule says why")
    func segments() throws {
        let lack = try whyNot(
            "in segment vip", [event("A", .hours(1))], also: ["vip": #"did "A" at least 2 times"#])
        #expect(
            lack?.text == #"in segment vip (did "A" at least 2 times: 1 of 2 times; 1 more is needed)"#)
    }

    @Test("whatever the rule, there is a reason exactly if it does not hold")
    func random() throws {
        for seed in 0..<UInt64(100) {
            var rules = RandomRules(generator: SeededGenerator(seed: seed))
            let decider = SegmentDecider(
                SegmentSet(
                    revision: 1,
                    segments: [
                        SegmentDefinition(id: "s", version: 1, condition: try RuleReader.read(rules.rule()))
                    ]))
            var history = RandomHistory(generator: SeededGenerator(seed: seed), name: "m", rules: [:])
            var state = decider.newState()
            var facts: [TrackingEvent] = []
            for _ in 0..<10 {
                facts.append(history.next(after: facts))
                _ = decider.apply(facts[facts.count - 1], to: &state, of: profile)
                let explained = try #require(decider.explain("s", of: state, at: state.decidedAt))
                #expect((explained.whyNot == nil) == explained.holds)
            }
        }
    }
}
