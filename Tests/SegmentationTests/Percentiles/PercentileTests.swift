import Models
import SegmentationDomain
import Testing

@Suite("Percentiles of a population")
struct PercentileTests {
    private func place(_ rule: JSON) -> String? {
        do {
            _ = try RuleReader.read(rule)
            return nil
        } catch { return error.problems.first?.path.description }
    }

    private func measure(_ json: JSON) throws -> PercentileMeasure { try PercentileMeasure(RuleField(json)) }

    @Test(
        "the thresholds are the values of the people at each percent, and a percentile how many of them somebody exceeds"
    )
    func thresholds() throws {
        let spend = try measure(["sum": ["event": "Order Completed", "property": "total"]])
        let edition = try #require(
            PercentileEdition(
                4, of: spend, at: Installation.start,
                values: (1...200).map { Int64($0) * 1_000_000 }.reversed()))
        #expect(edition.json[path: "thresholds.0"] == "2" && edition.json[path: "thresholds.98"] == "198")
        #expect(edition.people == 200)
        #expect(edition.percentile(of: 181_000_000) == 90 && edition.percentile(of: 180_000_000) == 89)
        #expect(edition.percentile(of: 0) == 0 && edition.percentile(of: 200_000_000) == 99)
        #expect(try PercentileEdition(RuleField(edition.json)) == edition)
        let same = try #require(
            PercentileEdition(1, of: spend, at: Installation.start, values: Array(repeating: 7, count: 50)))
        #expect(same.percentile(of: 7) == 0 && same.percentile(of: 8) == 99)
        #expect(PercentileEdition(1, of: spend, at: Installation.start, values: []) == nil)
    }

    @Test(
        "at the instant of an edition its rules have those whom it puts there, for random people and measures"
    )
    func population() async throws {
        try await OracleTests.eachCase(40) { random in
            var random = random
            var rules = RandomRules(generator: random)
            var payload = rules.windowed(rules.selector(isStatic: true))
            random = rules.generator
            let kind = random.pick(["count", "sum", "minimum", "maximum", "daysSinceLast"])
            if ["sum", "minimum", "maximum"].contains(kind) { payload["property"] = "price" }
            let measure = try self.measure(.object([kind: .object(payload)]))
            guard let trait = measure.folded else { return }
            let people = (0..<(1 + random.below(30))).map { person -> [TrackingEvent] in
                var history = RandomHistory(generator: random, name: "p\(person)", rules: [:])
                var events: [TrackingEvent] = []
                for _ in 0..<random.below(12) { events.append(history.next(after: events)) }
                random = history.generator
                return events
            }
            let now = Instant(milliseconds: 1_000 + Int64(random.below(4_000)))
            let told = people.map { $0.filter { SegmentDecider.instant(of: $0) <= now } }
            let values = told.map { events in
                var fold = ComputedTraitFold(trait, at: now)
                for event in events { fold.take(event) }
                return fold.measured()
            }
            let edition = PercentileEdition(1, of: measure, at: now, values: values.compactMap { $0 })
            guard let edition else { return }
            let percent = 1 + random.below(98)
            for bounds in [["atLeast": .integer(Int64(percent))], ["atMost": .integer(Int64(percent))]]
                as [[String: JSON]]
            {
                let condition = try RuleReader.read(["percentile": .object(bounds)])
                    .byEditions { _, _, _ in edition.json }
                let decider = SegmentDecider(
                    SegmentSet(
                        revision: 1, segments: [SegmentDefinition(id: "s", version: 1, condition: condition)])
                )
                for (events, value) in zip(told, values) where !events.isEmpty {
                    var state = decider.newState()
                    let profile = Installation.profile("anybody")
                    for event in events { _ = decider.apply(event, to: &state, of: profile) }
                    _ = decider.advance(&state, to: now, of: profile)
                    let expected = value.map {
                        bounds["atLeast"] == nil
                            ? edition.percentile(of: $0) <= percent : edition.percentile(of: $0) >= percent
                    }
                    #expect(
                        state.standing(in: "s")?.isMember == expected ?? false, "\(condition.json.compact)")
                }
            }
        }
    }

    @Test("a rule is read as it is written, and a mistake is named with its place")
    func rules() throws {
        for text in [
            "percentile default at least 90", "percentile `is` between 40 and 60",
            "percentile spend exactly 99",
            #"not percentile spend at most 0 and did "A""#,
        ] {
            let condition = try RuleText.read(text)
            #expect(condition.text == text)
            #expect(try RuleReader.read(condition.json) == condition)
        }
        #expect(try RuleReader.read(["percentile": ["atLeast": 90]]).text == "percentile default at least 90")
        #expect(place(["percentile": [:]]) == "percentile")
        #expect(place(["percentile": ["atLeast": 0]]) == "percentile")
        #expect(place(["percentile": ["atMost": 99]]) == "percentile")
        #expect(place(["percentile": ["atLeast": 100]]) == "percentile.atLeast")
        #expect(place(["percentile": ["model": "A", "atLeast": 9]]) == "percentile.model")
        #expect(place(["percentile": ["atLeast": 9, "edition": ["number": 1]]]) == "percentile.edition.at")
        #expect(place(["percentile": ["atLeast": 9, "of": "x"]]) == "percentile.of")
        for text in ["percentile spend", "percentile at least 9", "percentile spend = 9"] {
            #expect(throws: InvalidRuleText.self, "\(text)") { try RuleText.read(text) }
        }
        let notice = try RuleReader.read(["not": ["percentile": ["atLeast": 9]]]).notices(
            at: RulePath(["rule"]))
        #expect(notice.map(\.path.description) == ["rule.not.percentile"])
        func wrong(_ json: JSON) -> String? {
            do {
                _ = try measure(json)
                return nil
            } catch { return (error as? RuleProblem)?.path.description }
        }
        #expect(wrong(["average": ["event": "A", "property": "x"]]) == "")
        #expect(wrong(["sum": ["event": "A"]]) == "sum.property")
        #expect(
            wrong(["count": ["event": "A", "where": [["property": "d", "withinLast": "3d"]]]])
                == "count.where")
        #expect(wrong(["daysSinceLast": ["event": "A", "zone": "UTC"]]) == "daysSinceLast.zone")
        #expect(wrong(["score": 1]) == "score")
    }
}
