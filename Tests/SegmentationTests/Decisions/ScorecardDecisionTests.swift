import Foundation
import Models
import SegmentationDomain
import Testing

@Suite("What a scorecard says")
struct ScorecardDecisionTests {
    private let profile = ProfileID(UUIDv7.derived(at: Instant(milliseconds: 0), from: "profile"))

    /// Cases under consecutive seeds from one that is printed; `MARTLET_SEED` repeats a run.
    private func eachCase(_ count: UInt64, _ body: (inout SeededGenerator) throws -> Void) async throws {
        let given = ProcessInfo.processInfo.environment["MARTLET_SEED"].flatMap { UInt64($0) }
        let seed = given ?? UInt64.random(in: 0...UInt64(UInt32.max))
        print("seed \(seed)")
        for number in 0..<count {
            await Task.yield()
            var random = SeededGenerator(seed: seed &+ number)
            try body(&random)
        }
    }

    @Test("what is left of all that moved a score is the score before its maximum")
    func moves() async throws {
        try await eachCase(150) { random in
            var rules = RandomRules(generator: SeededGenerator(seed: random.next()))
            guard case .object(var written) = rules.scoring() else { return }
            written["maximum"] = nil
            let scoring = try Scoring(RuleField(.object(written)))
            var history = RandomHistory(
                generator: SeededGenerator(seed: random.next()), name: "m",
                rules: random.pick(RandomHistory.rules))
            var memory = Memory()
            var facts: [TrackingEvent] = []
            var latest = Instant.distantPast
            for _ in 0..<(1 + random.below(25)) {
                let event = history.next(after: facts)
                facts.append(event)
                let at = SegmentDecider.instant(of: event)
                latest = max(latest, at)
                _ = scoring.remember(event, at: at, decided: latest, in: &memory)
            }
            let instant = latest + .milliseconds(random.below(500))
            let moves = scoring.moves(memory, at: instant)
            let sum = moves.reduce(Points.zero) { $0 + $1.left }
            let score = scoring.standing(memory, at: instant).points(at: instant)
            // A millionth at the most is lost by rounding one after the other.
            let difference = (sum - score).units
            #expect(difference.magnitude <= UInt128(Points.scale), "\(JSON.object(written).compact)")
            #expect(moves.count == memory.occurrences.count)
            #expect(moves.map(\.event.at) == moves.map(\.event.at).sorted())
        }
    }

    @Test("what is foretold is what time makes, no matter how it passes")
    func forecast() async throws {
        try await eachCase(60) { random in
            var rules = RandomRules(generator: SeededGenerator(seed: random.next()))
            let scoring = try Scoring(RuleField(rules.scoring()))
            rules.scores = ["x"]
            let stages = JSON.array(["a", "b", "c"].map { ["id": .string($0), "rule": rules.rule()] })
            rules.stages = ["a", "b", "c"]
            let segments = try (0..<3).map {
                SegmentDefinition(id: "s\($0)", version: 1, condition: try RuleReader.read(rules.rule()))
            }
            let list = StageDefinition.definitions(try StageDefinition.list(RuleField(stages)), version: 1)
            let decider = SegmentDecider(
                SegmentSet(
                    revision: 1,
                    segments: segments + list + [SegmentDefinition(score: "x", version: 1, scoring: scoring)])
            )
            var history = RandomHistory(
                generator: SeededGenerator(seed: random.next()), name: "m",
                rules: random.pick(RandomHistory.rules))
            var state = decider.newState()
            var facts: [TrackingEvent] = []
            for _ in 0..<(1 + random.below(12)) {
                let event = history.next(after: facts)
                facts.append(event)
                _ = decider.apply(event, to: &state, of: profile)
            }
            let foretold = decider.forecast(from: state, of: profile, limit: 20)
            guard let end = foretold.map(\.instant).max(), end > state.decidedAt else { return }
            // Time passes in steps that know nothing of the deadlines.
            let length = (end - state.decidedAt).milliseconds
            let steps = (0..<random.below(5)).map { _ in
                state.decidedAt + .milliseconds(Int64.random(in: 0...length, using: &random))
            }
            var came: [MembershipFact] = []
            for now in steps.sorted() + [end] {
                let changes = decider.advance(&state, to: now, of: profile)
                came += changes.filter { $0.segment.count == 2 }.map { .changed($0) }
                came += StageMoves.steps(in: changes).map { .stage($0) }
            }
            func said(_ facts: [MembershipFact]) -> Set<String> {
                Set(
                    facts.map {
                        switch $0 {
                        case .changed(let change):
                            "\(change.segment) \(change.change) \(change.at.milliseconds)"
                        case .stage(let change): "\(change.stage ?? "none") \(change.at.milliseconds)"
                        case .unmerged, .unknown: ""
                        }
                    })
            }
            // Those that came in one step with the last one foretold may be more.
            #expect(said(came).isSuperset(of: said(foretold)))
        }
    }
}

extension MembershipFact {
    fileprivate var instant: Instant {
        switch self {
        case .changed(let change): change.at
        case .stage(let change): change.at
        case .unmerged, .unknown: .distantPast
        }
    }
}
