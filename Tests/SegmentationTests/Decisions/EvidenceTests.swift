import Models
import SegmentationDomain
import Testing

@Suite("Evidence")
struct EvidenceTests {
    private let profile = ProfileID(UUIDv7.derived(at: Instant(milliseconds: 0), from: "profile"))

    @Test("deciding again from the evidence alone gives the same change")
    func reevaluation() async throws {
        var decided = 0
        try await OracleTests.eachCase(150) { random in
            var random = random
            let seed = random.next() % 1_000_000
            var rules = RandomRules(generator: SeededGenerator(seed: seed))
            let other = SegmentDefinition(
                id: "other", version: 1, condition: try RuleReader.read(rules.rule()))
            rules.segments = seed % 3 == 0 ? ["other"] : []
            let scoring = rules.scoring()
            rules.scores = seed % 3 == 1 ? ["engagement"] : []
            let definition = SegmentDefinition(
                id: "s", version: 1, condition: try RuleReader.read(stored: rules.stored()))
            let decider = SegmentDecider(
                SegmentSet(
                    revision: 1,
                    segments: [
                        definition, other,
                        SegmentDefinition(
                            score: "engagement", version: 1, scoring: try Scoring(RuleField(scoring))),
                    ]))
            var history = RandomHistory(
                generator: SeededGenerator(seed: seed &+ 1), name: "m",
                rules: RandomHistory.rules[Int(seed % UInt64(RandomHistory.rules.count))])
            history.hasConsents = true
            var state = decider.newState()
            var facts: [TrackingEvent] = []
            var changes: [MembershipChange] = []
            for _ in 0..<20 {
                let event = history.next(after: facts)
                facts.append(event)
                changes += decider.apply(event, to: &state, of: profile)
            }
            changes += decider.advance(&state, to: .distantFuture, of: profile)
            for change in changes {
                let conditions = try #require(change.evidence["conditions"])
                let oracle = EvidenceOracle(scores: ["engagement": scoring], facts: facts)
                #expect(try oracle.holds(conditions, at: change.at) == (change.change == .entered))
                decided += 1
                guard change.reason == .time, let before = change.evidence["before"] else { continue }
                let instant = change.at - .milliseconds(1)
                #expect(try oracle.holds(before, at: instant) == (change.change == .exited))
            }
        }
        #expect(decided > 100)
    }

    @Test("where fewer events are listed than there are, the summary of the others makes up for them")
    func summaries() async throws {
        var (decided, summed) = (0, 0)
        try await OracleTests.eachCase(300) { random in
            var random = random
            var rules = RandomRules(generator: SeededGenerator(seed: random.next()))
            let scoring = rules.scoring()
            rules.scores = random.chance(30) ? ["engagement"] : []
            let definition = SegmentDefinition(
                id: "s", version: 1, condition: try RuleReader.read(stored: rules.stored()))
            let decider = SegmentDecider(
                SegmentSet(
                    revision: 1,
                    segments: [
                        definition,
                        SegmentDefinition(
                            score: "engagement", version: 1, scoring: try Scoring(RuleField(scoring))),
                    ]))
            var history = RandomHistory(
                generator: SeededGenerator(seed: random.next()), name: "m",
                rules: random.pick(RandomHistory.rules))
            history.hasConsents = true
            var state = decider.newState()
            var facts: [TrackingEvent] = []
            for _ in 0..<(20 + random.below(40)) {
                let event = history.next(after: facts)
                facts.append(event)
                _ = decider.apply(event, to: &state, of: profile)
            }
            let oracle = EvidenceOracle(scores: ["engagement": scoring], facts: facts)
            for _ in 0..<6 {
                let instant = state.decidedAt + .milliseconds(random.pick([0, 0, 1, 7, 200, 900]))
                let explanation = try #require(decider.explain("s", of: state, at: instant))
                let json = explanation.json(listing: 1 + random.below(6))
                #expect(try oracle.holds(json, at: instant) == explanation.holds, "\(json.compact)")
                decided += 1
                if json.compact.contains("\"unlisted\"") { summed += 1 }
            }
        }
        #expect(summed * 10 > decided, "\(summed) of \(decided)")
    }

    @Test("changes that rest on far more than 100 events are decided again from their evidence alike")
    func longHistories() async throws {
        var (decided, summed) = (0, 0)
        try await OracleTests.eachCase(2) { random in
            var random = random
            let scoring: JSON = [
                "events": [
                    ["event": "A", "weight": 1, "cap": .integer(Int64(40 + random.below(60)))],
                    ["event": "B", "weight": -1], ["event": ["A", "B"], "weight": 0.5, "perDay": 90],
                ], "halfLife": .string("\(1 + random.below(30))h"),
            ]
            let rules = try LongRules.rules(&random).map { try RuleReader.read($0) }
            let decider = SegmentDecider(
                SegmentSet(
                    revision: 1,
                    segments: rules.enumerated().map {
                        SegmentDefinition(id: "s\($0.offset)", version: 1, condition: $0.element)
                    } + [
                        SegmentDefinition(
                            score: "engagement", version: 1, scoring: try Scoring(RuleField(scoring)))
                    ]))
            var state = decider.newState()
            let facts = LongRules.history(&random)
            var changes = facts.flatMap { decider.apply($0, to: &state, of: profile) }
            changes += decider.advance(&state, to: .distantFuture, of: profile)
            let oracle = EvidenceOracle(scores: ["engagement": scoring], facts: facts)
            for change in changes {
                let conditions = try #require(change.evidence["conditions"])
                #expect(
                    try oracle.holds(conditions, at: change.at) == (change.change == .entered),
                    "\(conditions.compact.prefix(2_000))")
                decided += 1
                if conditions["unlisted"] != nil { summed += 1 }
                guard change.reason == .time, let before = change.evidence["before"] else { continue }
                #expect(
                    try oracle.holds(before, at: change.at - .milliseconds(1)) == (change.change == .exited))
            }
        }
        // What share of them rests on sums is up to the draws; that there are enough of both is not.
        #expect(decided > 50 && summed > 10, "\(summed) of \(decided)")
    }

    @Test("listed events say where they stand in the timeline, also after the state was stored")
    func positions() throws {
        let rule = try RuleReader.read([
            "all": [
                ["count": ["event": "A", "atLeast": 2]], ["trait": ["name": "plan", "exists": true]],
                ["context": ["property": "locale", "exists": true]],
                ["unanswered": ["event": "A", "by": ["event": "B"], "for": "1h"]],
            ]
        ])
        let decider = SegmentDecider(
            SegmentSet(revision: 1, segments: [SegmentDefinition(id: "s", version: 1, condition: rule)]))
        var state = decider.newState()
        let shard = Shard(profile)
        for (number, name) in ["B", nil, "A", "A"].enumerated() {
            let at = Instant(milliseconds: 1_000 + Int64(number))
            var event = TrackingEvent(
                messageID: "m\(number)", kind: name == nil ? .identify : .track, name: name, timestamp: at,
                receivedAt: at, sourceID: RandomHistory.source, traits: name == nil ? ["plan": "pro"] : [:],
                context: name == "B" ? ["locale": "de"] : [:])
            event.position = TimelinePosition(shard: shard, offset: 1_000_000 + Int64(number))
            _ = decider.apply(event, to: &state, of: profile)
        }
        let stored = try PackedState(state).state(decider.set.layout)
        #expect(stored == state)
        let explanation = try #require(
            decider.explain("s", of: stored, at: Instant(milliseconds: 5_000_000)))
        var cited: [String: JSON] = [:]
        var waiting = [explanation.json]
        while let json = waiting.popLast() {
            waiting += json.array ?? json.object.map { Array($0.values) } ?? []
            if let id = json["messageId"]?.string { cited[id] = json }
        }
        #expect(cited.count == 4)
        for (id, json) in cited {
            #expect(json["shard"]?.integer == Int64(shard.number))
            #expect(json["offset"]?.integer == Int64(id.dropFirst()).map { 1_000_000 + $0 })
        }
    }

    @Test(
        "evidence that is too large for a stream record decides again, and what stands in its place there is small"
    )
    func size() throws {
        let longName = String(repeating: "x", count: 200)
        let part: JSON = ["count": ["event": .array([.string(longName), "A"]), "atLeast": 100]]
        let rule: JSON = ["any": .array(Array(repeating: part, count: 499))]
        let definition = SegmentDefinition(id: "s", version: 1, condition: try RuleReader.read(rule))
        let decider = SegmentDecider(SegmentSet(revision: 1, segments: [definition]))
        var state = decider.newState()
        var changes: [MembershipChange] = []
        for number in 0..<100 {
            let instant = Instant(milliseconds: 1_000 + Int64(number))
            let event = TrackingEvent(
                messageID: "m\(number)", kind: .track, name: "A", timestamp: instant, receivedAt: instant,
                sourceID: RandomHistory.source)
            changes += decider.apply(event, to: &state, of: profile)
        }
        #expect(changes.map(\.change) == [.entered])
        let whole = changes[0].evidence
        #expect(whole.compact.utf8.count > Evidence.maxBytes)
        let facts = (0..<100).map { number in
            let instant = Instant(milliseconds: 1_000 + Int64(number))
            return TrackingEvent(
                messageID: "m\(number)", kind: .track, name: "A", timestamp: instant, receivedAt: instant,
                sourceID: RandomHistory.source)
        }
        let oracle = EvidenceOracle(scores: [:], facts: facts)
        let conditions = try #require(whole["conditions"])
        #expect(try oracle.holds(conditions, at: changes[0].at))
        let short = try #require(Evidence.abridged(whole, kept: "an-id"))
        #expect(short.compact.utf8.count <= Evidence.maxBytes)
        #expect(short["abridged"] == true && short["kept"] == "an-id" && short["cause"] == whole["cause"])
        #expect(Evidence.abridged(short, kept: "another") == nil)
    }
}
