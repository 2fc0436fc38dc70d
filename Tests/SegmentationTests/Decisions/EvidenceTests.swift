import Models
import SegmentationDomain
import Testing

@Suite("Evidence")
struct EvidenceTests {
    private let profile = ProfileID(UUIDv7.derived(at: Instant(milliseconds: 0), from: "profile"))

    @Test("deciding again from the evidence alone gives the same change")
    func reevaluation() throws {
        var decided = 0
        for seed in 0..<UInt64(150) {
            var rules = RandomRules(generator: SeededGenerator(seed: seed))
            let other = SegmentDefinition(
                id: "other", version: 1, condition: try RuleReader.read(rules.rule()))
            rules.segments = seed % 3 == 0 ? ["other"] : []
            let scoring = rules.scoring()
            rules.scores = seed % 3 == 1 ? ["engagement"] : []
            let definition = SegmentDefinition(
                id: "s", version: 1, condition: try RuleReader.read(rules.rule()))
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
                #expect(
                    try holds(conditions, at: change.at, facts, scoring) == (change.change == .entered))
                decided += 1
                guard change.reason == .time, let before = change.evidence["before"] else { continue }
                let instant = change.at - .milliseconds(1)
                #expect(try holds(before, at: instant, facts, scoring) == (change.change == .exited))
            }
        }
        #expect(decided > 100)
    }

    @Test("evidence stays small enough for a stream record, whatever the rule and the history")
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
        #expect(changes[0].evidence.compact.utf8.count <= Evidence.maxBytes)
        #expect(changes[0].evidence["abridged"] == true)
    }

    /// Decides an explanation again, from the events that it cites and nothing else.
    private func holds(
        _ explanation: JSON, at instant: Instant, _ facts: [TrackingEvent], _ scoring: JSON
    ) throws -> Bool {
        if let key = explanation["condition"]?.string {
            let parts = try (explanation["parts"]?.array ?? []).map {
                try holds($0, at: instant, facts, scoring)
            }
            let truth =
                key == "all" ? !parts.contains(false) : key == "any" ? parts.contains(true) : !parts[0]
            #expect(explanation["holds"]?.bool == truth)
            return truth
        }
        let condition = try #require(explanation["condition"])
        if condition["segment"] != nil {
            let truth = try holds(
                try #require(explanation["parts"]?.array?.first), at: instant, facts, scoring)
            #expect(explanation["holds"]?.bool == truth)
            return truth
        }
        var cited = Set((explanation["events"]?.array ?? []).compactMap { $0["messageId"]?.string })
        if let answer = explanation[path: "details.answer.messageId"]?.string { cited.insert(answer) }
        let truth = PlainOracle(rule: condition, scores: ["engagement": scoring]).holds(
            facts.filter { cited.contains($0.messageID) }, at: instant)
        #expect(explanation["holds"]?.bool == truth, "\(explanation.compact)")
        return truth
    }
}
