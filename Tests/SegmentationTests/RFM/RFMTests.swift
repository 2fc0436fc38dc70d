import Models
import SegmentationDomain
import Testing

@Suite("Recency, frequency and monetary value")
struct RFMTests {
    private func orders(_ payload: JSON = [:]) throws -> ComputedTrait {
        try RFMEdition.orders(RuleField(payload))
    }

    private func place(_ rule: JSON) -> String? {
        do {
            _ = try RuleReader.read(rule)
            return nil
        } catch { return error.problems.first?.path.description }
    }

    @Test("the thresholds are the values of the people at 20, 40, 60 and 80 percent, the worst first")
    func thresholds() throws {
        var population = RFMPopulation()
        population.add(
            (1...10).map {
                RFMStanding(
                    recency: .days(20 - $0), frequency: $0,
                    monetary: Amount(millionths: Int64($0) * 1_000_000))
            }, of: 25)
        let edition = try #require(population.edition(4, of: try orders(), at: Installation.start))
        #expect(edition.recency == [18, 16, 14, 12].map { Duration.days($0) })
        #expect(edition.frequency == [2, 4, 6, 8])
        #expect(edition.monetary.map(\.text) == ["2", "4", "6", "8"])
        #expect(edition.people == 10 && population.examined == 25)
        #expect(try RFMEdition(RuleField(edition.json)) == edition)
        let last = edition.scores(
            RFMStanding(recency: .days(12), frequency: 9, monetary: edition.monetary[0]))
        #expect(last == RFMScores(recency: 4, frequency: 5, monetary: 1))
        #expect(RFMPopulation().edition(1, of: try orders(), at: Installation.start) == nil)
    }

    @Test("people who have the same have the same score")
    func ties() throws {
        var population = RFMPopulation()
        let frequencies = [1, 1, 1, 1, 1, 1, 1, 1, 2, 7]
        population.add(
            frequencies.map { RFMStanding(recency: .zero, frequency: $0, monetary: Amount(millionths: 0)) },
            of: 10)
        let edition = try #require(population.edition(1, of: try orders(), at: Installation.start))
        let scores = frequencies.map {
            edition.scores(RFMStanding(recency: .zero, frequency: $0, monetary: Amount(millionths: 0)))
        }
        #expect(scores.map(\.frequency) == [1, 1, 1, 1, 1, 1, 1, 1, 5, 5])
        #expect(Set(scores.map(\.recency)) == [1] && Set(scores.map(\.monetary)) == [1])
    }

    @Test("whoever has ordered is in exactly one of the named segments")
    func partition() {
        for recency in 1...5 {
            for frequency in 1...5 {
                let names = RFMSegment.allCases.filter {
                    $0.recency.contains(recency) && $0.frequency.contains(frequency)
                }
                #expect(names.map(\.rawValue) == [PlainOracle.grid[5 - recency][frequency - 1]])
            }
        }
        #expect(Set(RFMSegment.allCases.map(\.rawValue)) == Set(PlainOracle.grid.flatMap { $0 }))
    }

    @Test("at the instant of an edition its rules have those whom the scores put there, for random people")
    func population() async throws {
        try await OracleTests.eachCase(40) { random in
            var random = random
            var rules = RandomRules(generator: random)
            var payload = rules.windowed(rules.selector(isStatic: true))
            random = rules.generator
            payload["property"] = "price"
            let orders = try self.orders(.object(payload))
            let people = (0..<(1 + random.below(30))).map { person -> [TrackingEvent] in
                var history = RandomHistory(generator: random, name: "p\(person)", rules: [:])
                var events: [TrackingEvent] = []
                for _ in 0..<random.below(12) { events.append(history.next(after: events)) }
                random = history.generator
                return events
            }
            let now = Instant(milliseconds: 1_000 + Int64(random.below(4_000)))
            let told = people.map { $0.filter { SegmentDecider.instant(of: $0) <= now } }
            let standings = told.map { events in
                var fold = ComputedTraitFold(orders, at: now)
                for event in events { fold.take(event) }
                return fold.orders()
            }
            var population = RFMPopulation()
            population.add(standings.compactMap { $0 }, of: people.count)
            guard let edition = population.edition(1, of: orders, at: now) else { return }
            for name in RFMSegment.allCases {
                let condition = try RuleReader.read(["rfm": ["segment": .string(name.rawValue)]])
                    .by(edition, of: "default")
                let decider = SegmentDecider(
                    SegmentSet(
                        revision: 1, segments: [SegmentDefinition(id: "s", version: 1, condition: condition)])
                )
                var members = 0
                for (events, standing) in zip(told, standings) where !events.isEmpty {
                    var state = decider.newState()
                    let profile = Installation.profile("anybody")
                    for event in events { _ = decider.apply(event, to: &state, of: profile) }
                    _ = decider.advance(&state, to: now, of: profile)
                    let expected = standing.map { RFMSegment(edition.scores($0)) == name } ?? false
                    #expect(state.standing(in: "s")?.isMember == expected, "\(condition.json.compact)")
                    members += expected ? 1 : 0
                }
                #expect(population.counts(by: edition)[name] ?? 0 == members)
            }
        }
    }

    @Test("a rule is read as it is written, and a mistake is named with its place")
    func rules() throws {
        for text in [
            #"rfm default is "Can't Lose Them""#, "rfm default recency at least 4",
            "rfm vip recency exactly 5 frequency between 2 and 3 monetary at most 1",
            #"(rfm `is` is "Lost" or not rfm default monetary at least 2) and did "A""#,
        ] {
            let condition = try RuleText.read(text)
            #expect(condition.text == text)
            #expect(try RuleReader.read(condition.json) == condition)
        }
        #expect(try RuleReader.read(["rfm": ["segment": "Lost"]]).text == #"rfm default is "Lost""#)
        #expect(place(["rfm": ["segment": "Winners"]]) == "rfm.segment")
        #expect(place(["rfm": [:]]) == "rfm")
        #expect(place(["rfm": ["segment": "Lost", "recency": ["atLeast": 2]]]) == "rfm")
        #expect(place(["rfm": ["recency": ["atLeast": 6]]]) == "rfm.recency.atLeast")
        #expect(place(["rfm": ["recency": ["atMost": 0]]]) == "rfm.recency")
        #expect(place(["rfm": ["model": "A", "recency": ["atLeast": 2]]]) == "rfm.model")
        #expect(place(["rfm": ["segment": "Lost", "edition": ["number": 1]]]) == "rfm.edition.at")
        for text in ["rfm default", "rfm default is Lost", "rfm default recency", "rfm is \"Lost\""] {
            #expect(throws: InvalidRuleText.self, "\(text)") { try RuleText.read(text) }
        }
        let notice = try RuleReader.read(["not": ["rfm": ["segment": "Lost"]]]).notices(
            at: RulePath(["rule"]))
        #expect(notice.map(\.path.description) == ["rule.not.rfm"])
        func wrong(_ payload: JSON) -> String? {
            do {
                _ = try orders(payload)
                return nil
            } catch { return (error as? RuleProblem)?.path.description }
        }
        #expect(wrong(["event": ""]) == "event")
        #expect(wrong(["where": [["property": "due", "withinLast": "3d"]]]) == "where")
        #expect(wrong(["surprise": 1]) == "surprise")
    }
}
