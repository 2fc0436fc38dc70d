import Models
import SegmentationDomain
import Testing

@Suite("Notices of limits")
struct NoticeTests {
    @Test("conditions whose answer takes a bounded number of events say nothing")
    func exact() throws {
        for text in [
            #"did "A" at least 1000 times in 30 days"#, #"not did "A" in 90 days"#,
            #"distinct category over "A" at least 3 values in 7 days"#,
            #"maximum of total over "A" at least 5"#,
            #"minimum of total over "A" at least 5 since 2026-01-01T00:00:00Z"#,
            #"did "A" and then no "B" for 1 hour"#, #"first "A" was in 7 days"#,
            #"sum of total over "A" at least 5"#, #"average of total over "A" at least 5"#,
            #"ratio of "A" to "B" is at least 0.5 since 2026-01-01T00:00:00Z"#,
            #"trait plan = "pro""#, #"has identifier email"#,
        ] {
            let rule = try? RuleText.read(text)
            #expect(rule != nil, "\(text)")
            #expect(rule?.notices(at: RulePath()) == [], "\(text)")
        }
    }

    @Test("every other condition is named with its place and with what is kept")
    func bounded() throws {
        let kept = [
            (#"sum of total over "A" at least 5 in 7 days"#, "10,000"),
            (#"average of total over "A" at least 5 in 7 days"#, "10,000"),
            (#"maximum of total over "A" at least 5 in 7 days"#, "10,000"),
            (#"ratio of "A" to "B" is at least 0.5 in 7 days"#, "10,000"),
            (#"did "A" at least 3 times with the same sku"#, "10,000"),
            (#"did "A" where due in the next 2 days"#, "10,000"),
            (#"did "A" then did "B" within 1 day"#, "1,000"),
            (#"did "A" and then no "B" for 1 hour in 7 days"#, "1,000"),
        ]
        for (text, number) in kept {
            let rule = try RuleText.read(text)
            let notices = rule.notices(at: RulePath(["rule"]))
            #expect(notices.count == 1, "\(text)")
            #expect(notices.first?.text.contains(" \(number) ") == true, "\(text)")
            let key = try #require(rule.json.object?.keys.first)
            #expect(notices.first?.path.description == "rule.\(key)")
        }
        let rule = try RuleText.read(
            #"did "A" and not (sum of total over "A" at least 5 in 7 days or did "A" then did "B")"#)
        #expect(
            rule.notices(at: RulePath(["rule"])).map(\.path.description) == [
                "rule.all.1.not.any.0.sum", "rule.all.1.not.any.1.sequence",
            ])
    }

    @Test("a score of so many events a day that they are forgotten before they are too many says nothing")
    func scores() throws {
        func notices(_ json: JSON) throws -> [String] {
            try Scoring(RuleField(json)).notices().map(\.path.description)
        }
        #expect(try notices(["events": [["event": "A", "weight": 1, "perDay": 5]], "halfLife": "7d"]) == [])
        #expect(try notices(["events": [["event": "A", "weight": 1, "perDay": 5]]]) == ["events.0"])
        #expect(
            try notices(["events": [["event": "A", "weight": 1, "perDay": 500]], "halfLife": "7d"])
                == ["events.0"])
        #expect(try notices(["events": [["event": "A", "weight": 1]], "halfLife": "7d"]) == ["events.0"])
    }

    @Test(
        "the greatest of all time is exact after more events than are ever kept, in whatever order they come")
    func greatest() throws {
        let rule = Rule(try RuleText.read(#"maximum of total over "A" at least 20000"#))
        let leaf = try #require(rule.leaves.first)
        for isDescending in [true, false] {
            var memory = Memory()
            for number in 0..<20_000 {
                let value = 20_000 - number
                let at = Instant(milliseconds: 1_000 + Int64(isDescending ? number : value))
                let event = TrackingEvent(
                    messageID: "m\(number)", kind: .track, name: "A", timestamp: at, receivedAt: at,
                    sourceID: RandomHistory.source, properties: ["total": .integer(Int64(value))])
                _ = leaf.remember(event, at: at, decided: Instant(milliseconds: 30_000), in: &memory)
            }
            #expect(memory.occurrences.count == 1)
            #expect(leaf.holds(memory, at: Instant(milliseconds: 40_000)))
        }
    }
}
