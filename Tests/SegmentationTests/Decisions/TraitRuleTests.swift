import Foundation
import Models
import SegmentationDomain
import Testing

@Suite("Rules of traits in segments")
struct TraitRuleTests {
    private static let rules: [TraitRule] = [
        .first, .union, .maximum, .priority(rank: 0), .priority(rank: 2),
    ]
    private static let conditions: [JSON] = [
        ["name": "home.city", "equals": "pro"], ["name": "home.city", "equals": 2],
        ["name": "home.city", "exists": true], ["name": "home.city", "in": ["free", 2]],
        ["name": "home.city", "contains": "pro"], ["name": "home", "exists": true],
        ["name": "home", "equals": "pro"], ["name": "home", "greaterThan": 2],
    ]
    private static let values: [JSON] = [
        ["city": "pro"], ["city": "free", "zip": 1], ["city": 2], ["city": .null], ["zip": ["city": "pro"]],
        ["city": ["pro", 1]], "pro", 3, .null,
    ]

    @Test(
        "what was said of a trait before it was given a rule counts under it, also of what is within its value"
    )
    func introduced() async throws {
        let given = ProcessInfo.processInfo.environment["MARTLET_SEED"].flatMap { UInt64($0) }
        let first = given ?? UInt64.random(in: 0...UInt64(UInt32.max))
        print("MARTLET_SEED=\(first)")
        for seed in first..<(first + 150) {
            await Task.yield()
            try Self.follow(SeededGenerator(seed: seed), "repeat with MARTLET_SEED=\(seed)")
        }
    }

    /// One history in which the rule comes after some calls, under every condition, with restarts and changed rules.
    private static func follow(_ generator: SeededGenerator, _ comment: Comment) throws {
        var random = generator
        let profile = ProfileID(UUIDv7.derived(at: Instant(milliseconds: 0), from: "profile"))
        let rule = random.pick(rules)
        var version = 1
        func decider() throws -> SegmentDecider {
            SegmentDecider(
                SegmentSet(
                    revision: Int64(version),
                    segments: try conditions.enumerated().map {
                        SegmentDefinition(
                            id: "s\($0.offset)", version: version,
                            condition: try RuleReader.read(["trait": $0.element]))
                    }))
        }
        var engine = try decider()
        var state = engine.newState()
        var facts: [TrackingEvent] = []
        var clock: Int64 = 1_000
        let before = random.below(6)
        for number in 0..<(before + 1 + random.below(8)) {
            // Nothing that comes after the rule happened before it.
            clock += number == before ? 5_000 : Int64(random.below(300))
            if !facts.isEmpty, random.chance(10) {
                facts.append(random.pick(facts))
            } else {
                let time = Instant(milliseconds: clock - Int64(random.chance(25) ? random.below(1_500) : 0))
                var call = TrackingEvent(
                    messageID: "m\(number)", kind: .identify, timestamp: time,
                    receivedAt: time + .seconds(60),
                    sourceID: RandomHistory.source, traits: ["home": random.pick(values)])
                if number >= before { call.traitRules["home"] = rule }
                facts.append(call)
            }
            _ = engine.apply(facts[facts.count - 1], to: &state, of: profile)
            if random.chance(30) {
                state = try ProfileState(json: try JSONParser.parse(state.json.compact))
            }
            if random.chance(20) {
                // Made anew from the timeline, which is read in the order of time.
                version += 1
                engine = try decider()
                let known = facts.sorted { SegmentDecider.instant(of: $0) < SegmentDecider.instant(of: $1) }
                _ = engine.refresh(&state, with: known, now: state.decidedAt, of: profile)
            }
            for (place, condition) in conditions.enumerated() {
                let wanted = PlainOracle(rule: ["trait": condition]).holds(facts, at: state.decidedAt)
                #expect(state.segments["s\(place)"]?.isMember == wanted, comment)
            }
        }
    }
}
