import ConsentDomain
import Foundation
import Models
import SegmentationDomain

/// What the engine and the oracle are compared by.
extension OracleRun {
    func oracle(_ rule: JSON, byNextRules: Bool = false) -> PlainOracle {
        let inForce = Dictionary(definitions.map { ($0.id, $0.rule) }, uniquingKeysWith: { $1 })
        guard byNextRules else {
            return PlainOracle(
                rule: rule, segments: inForce, scores: scores.mapValues(\.scoring), stages: stages)
        }
        return PlainOracle(
            rule: rule, segments: inForce.merging(next.mapValues(\.rule)) { $1 },
            scores: scores.merging(nextScores) { $1 }.mapValues(\.scoring),
            stages: nextStages?.stages ?? stages)
    }

    /// The stage that the oracle says the profile is in.
    func stage(at instant: Instant) -> String? {
        stages.map(\.id).first { oracle(["stage": .string($0)]).holds(facts, at: instant) }
    }

    func compare() throws {
        if let broken { throw Disagreement(description: broken) }
        try compare(state, members, at: state.decidedAt)
        try compareNext()
        var copy = self
        try copy.compareFuture(samples: 2)
    }

    /// What next rules say is what they will say, of the segments as they will be then.
    func compareNext() throws {
        for segment in decider.set.upcoming {
            let id = SegmentDefinition.nextID(of: segment.id)
            guard decider.set[id: id] != nil else {
                guard state.segments[id] == nil else { throw Disagreement(description: "\(id) is left") }
                continue
            }
            guard segment.hasMembers else { continue }
            let at = max(state.decidedAt, state.segments[id]?.decidesFrom ?? .distantPast)
            let stage = SegmentDefinition.stage(ofKey: segment.id)
            let rule = stage.map { ["stage": .string($0)] } ?? segment.rule.condition.json
            let wanted = oracle(rule, byNextRules: true).holds(facts, at: at)
            guard state.segments[id]?.isMember == wanted else {
                throw Disagreement(
                    description: "\(id) at \(at.milliseconds): oracle says \(wanted)\n"
                        + segment.rule.condition.json.compact)
            }
        }
    }

    func compare(_ state: ProfileState, _ members: Set<String>, at instant: Instant) throws {
        let keys = stages.map { SegmentDefinition.key(ofStage: $0.id) }
        let since = keys.compactMap { state.segments[$0]?.decidesFrom }.max() ?? instant
        let wanted = stage(at: max(instant, since))
        let held = zip(stages, keys).filter { state.segments[$0.1]?.isMember ?? false }.map(\.0.id)
        guard stage == wanted, held == [wanted].compactMap({ $0 }) else {
            throw Disagreement(
                description: "stage at \(instant.milliseconds): oracle says \(wanted ?? "none"), stream "
                    + "\(stage ?? "none"), state \(held)\n"
                    + stages.map { "\($0.id): \($0.rule.compact)" }.joined(separator: "\n") + "\n"
                    + definitions.map { "\($0.id): \($0.rule.compact)" }.joined(separator: "\n") + "\n"
                    + facts.map { "\(SegmentDecider.instant(of: $0).milliseconds) \($0.json.compact)" }
                    .joined(separator: "\n"))
        }
        for (id, _, rule) in definitions {
            let at = max(instant, state.segments[id]?.decidesFrom ?? instant)
            let wanted = oracle(rule).holds(facts, at: at)
            guard members.contains(id) == wanted, state.segments[id]?.isMember == wanted else {
                throw Disagreement(
                    description: "\(id) at \(at.milliseconds): oracle says \(wanted), stream "
                        + "\(members.contains(id)), state \(state.segments[id]?.isMember ?? false)\n\(rule.compact)\n"
                        + "\(scores.mapValues { $0.scoring.compact })\n"
                        + facts.map { "\(SegmentDecider.instant(of: $0).milliseconds) \($0.json.compact)" }
                        .joined(separator: "\n"))
            }
        }
    }

    /// Lets time go on with no further facts, and compares around every instant at which something could happen.
    mutating func compareFuture(samples: Int) throws {
        let keys = definitions.map(\.id) + stages.map { SegmentDefinition.key(ofStage: $0.id) }
        let latest = keys.compactMap { state.segments[$0]?.decidesFrom }.max() ?? .distantPast
        let from = max(state.decidedAt, latest)
        let rules = definitions.map(\.rule) + scores.values.map(\.scoring) + stages.map(\.rule)
        let windows = rules.flatMap { OracleTests.durations(in: $0) }
        var wanted = Set<Int64>()
        for _ in 0..<(facts.isEmpty ? 0 : samples * 3) where wanted.count < samples {
            let instant = candidate(random.pick(facts), windows, rules) + Int64(random.below(3) - 1)
            if instant >= from.milliseconds { wanted.insert(instant) }
        }
        for instant in wanted.sorted().map({ Instant(milliseconds: $0) }) {
            note(decider.advance(&state, to: instant, of: profile))
            if let broken { throw Disagreement(description: broken) }
            try compare(state, members, at: instant)
        }
    }

    /// An instant at which a fact may begin or cease to count.
    mutating func candidate(_ fact: TrackingEvent, _ windows: [Int64], _ rules: [JSON]) -> Int64 {
        let midnights = random.chance(50) ? Self.midnights(after: fact, in: random.pick(rules)) : []
        if !midnights.isEmpty { return random.pick(midnights) }
        if random.chance(30), let birthday = fact.traits["birthday"]?.string,
            let zone = Self.zone(in: .array(rules))
        {
            let parts = birthday.prefix(10).split(separator: "-").compactMap { Int($0) }
            let date = DateComponents(
                calendar: PlainOracle.calendar(zone), year: parts[0] + random.below(4), month: parts[1],
                day: parts[2]
            ).date
            if let date { return Int64((date.timeIntervalSince1970 * 1_000).rounded()) }
        }
        let known = random.chance(30) ? Self.times(in: fact.json) : []
        let time = known.isEmpty ? SegmentDecider.instant(of: fact).milliseconds : random.pick(known)
        guard !windows.isEmpty else { return time }
        return random.chance(75) ? time + random.pick(windows) : time - random.pick(windows)
    }

    static func zone(in rule: JSON) -> String? {
        switch rule {
        case .object(let members):
            members["zone"]?.string ?? members.values.lazy.compactMap { zone(in: $0) }.first
        case .array(let elements): elements.lazy.compactMap { zone(in: $0) }.first
        default: nil
        }
    }

    /// All times that a fact names.
    static func times(in fact: JSON) -> [Int64] {
        switch fact {
        case .object(let members): members.values.flatMap { times(in: $0) }
        case .array(let elements): elements.flatMap { times(in: $0) }
        default:
            fact.string.flatMap { Instant(rfc3339: $0) ?? Instant(rfc3339: "\($0)T00:00:00Z") }
                .map { [$0.milliseconds] } ?? []
        }
    }

    /// When the days begin, in the zones of a rule, by which an event may leave its calendar windows.
    static func midnights(after fact: TrackingEvent, in rule: JSON) -> [Int64] {
        switch rule {
        case .object(let members):
            guard let zone = members["zone"]?.string,
                let days = members.values.compactMap({ $0.integer ?? $0.array?.last?.integer }).first
            else { return members.values.flatMap { midnights(after: fact, in: $0) } }
            let calendar = PlainOracle.calendar(zone)
            let day = calendar.startOfDay(for: PlainOracle.date(SegmentDecider.instant(of: fact)))
            return [Int(days) - 2, Int(days), Int(days) + 1].compactMap {
                calendar.date(byAdding: .day, value: $0, to: day).map {
                    Int64(($0.timeIntervalSince1970 * 1_000).rounded())
                }
            }
        case .array(let elements): return elements.flatMap { midnights(after: fact, in: $0) }
        default: return []
        }
    }
}
