import Foundation
import Models
import SegmentationDomain
import Testing

@Suite("Rules decided in bulk")
struct BulkTests {
    @Test("say what the engine and the plain oracle say, for random rules, histories and instants")
    func random() async throws {
        var (rules, compiled, members, asked) = (0, 0, 0, 0)
        var kinds = Set<String>()
        try await OracleTests.eachCase(250) { random in
            var run = try BulkRandomRun(random)
            rules += run.rules.count
            for _ in 0..<8 { try run.compare() }
            compiled += run.compiled
            kinds.formUnion(run.kinds)
            members += run.members
            asked += run.asked
        }
        print("of \(rules) rules \(compiled) were compiled; \(members) of \(asked) answers were yes")
        // What the generator makes of traits, contexts and identifiers is left to the engine.
        #expect(compiled * 100 > rules * 50)
        let wanted: Set = [
            "all", "any", "not", "count", "absent", "unanswered", "sum", "average", "minimum", "maximum",
            "distinct", "first", "last", "sequence", "ratio", "sameValueOf", "withinLast",
        ]
        #expect(kinds.isSuperset(of: wanted), "\(wanted.subtracting(kinds))")
        #expect(members * 100 > asked * 10 && members * 100 < asked * 90)
    }
}

/// Some profiles under some random rules, decided by all three.
private struct BulkRandomRun {
    let rules: [(id: String, rule: JSON)]
    private(set) var compiled = 0
    /// All keys in the rules that were compiled.
    private(set) var kinds: Set<String> = []
    private(set) var members = 0
    private(set) var asked = 0
    private var random: SeededGenerator
    private let definitions: [SegmentDefinition]
    private var histories: [[TrackingEvent]] = []
    private let columns: EventColumns

    init(_ generator: SeededGenerator) throws {
        var random = generator
        let scale = random.chance(25) ? random.pick(RandomScale.calendars) : .milliseconds
        var written = RandomRules(generator: SeededGenerator(seed: random.next()), scale: scale)
        rules = (0..<8).map { ("s\($0)", written.rule()) }
        definitions = try rules.map {
            SegmentDefinition(id: $0.id, version: 1, condition: try RuleReader.read($0.rule))
        }
        // Sometimes more colours than a word has bits.
        let colours = random.chance(30) ? 100 : 0
        let policy = random.pick(RandomHistory.rules)
        var arrivals: [(profile: Int, event: TrackingEvent)] = []
        for profile in 0..<(2 + random.below(8)) {
            var history = RandomHistory(
                generator: SeededGenerator(seed: random.next()), name: "p\(profile)", rules: policy,
                scale: scale)
            var events: [TrackingEvent] = []
            for _ in 0..<random.below(30) {
                var event = history.next(after: events)
                let isNew = !events.contains(event)
                if isNew, colours > 0, random.chance(50) {
                    event.properties["colour"] = .string("colour \(random.below(colours))")
                }
                events.append(event)
                arrivals.append((profile, event))
            }
            histories.append(events)
        }
        arrivals.shuffle(using: &random)
        var builder = EventColumnsBuilder(for: definitions)
        for (profile, event) in arrivals { builder.append(event, of: profile) }
        columns = builder.build(profiles: histories.count)
        self.random = random
    }

    mutating func compare() throws {
        let now = instant()
        let decider = BulkDecider(definitions, over: columns, at: now)
        let ids = decider.program.compiled
        compiled = ids.count
        kinds = Set(
            definitions.filter { ids.contains($0.id) }.flatMap { Self.keys(in: $0.rule.condition.json) })
        let parts = columns.parts(1 + random.below(3)).map { decider.members(in: $0) { histories[$0] } }
        let states = histories.map { state($0, at: now) }
        for (place, (id, rule)) in rules.enumerated() {
            let found = Set(parts.flatMap { $0[place] }.map { Int($0) })
            for (profile, events) in histories.enumerated() {
                let wanted = PlainOracle(rule: rule).holds(events, at: now)
                let engine = states[profile].segments[id]?.isMember ?? false
                asked += 1
                members += wanted ? 1 : 0
                guard found.contains(profile) == wanted, engine == wanted else {
                    throw BulkDisagreement(
                        description:
                            "at \(now.milliseconds) bulk says \(found.contains(profile)), the engine "
                            + "\(engine), the oracle \(wanted)\n\(rule.compact)\n"
                            + events.map {
                                "\(SegmentDecider.instant(of: $0).milliseconds) \($0.json.compact)"
                            }.joined(separator: "\n"))
                }
            }
        }
    }

    /// What the engine makes of the events up to then.
    private func state(_ events: [TrackingEvent], at now: Instant) -> ProfileState {
        let decider = SegmentDecider(SegmentSet(revision: 1, segments: definitions))
        var state = ProfileState(revision: 0)
        _ = decider.refresh(
            &state, with: events.filter { SegmentDecider.instant(of: $0) <= now }, now: now,
            of: ProfileID(UUIDv7.derived(at: now, from: "profile")))
        return state
    }

    private static func keys(in rule: JSON) -> [String] {
        switch rule {
        case .object(let members): members.keys + members.values.flatMap { keys(in: $0) }
        case .array(let elements): elements.flatMap { keys(in: $0) }
        default: []
        }
    }

    /// An instant at which something may begin or cease to count.
    private mutating func instant() -> Instant {
        let events = histories.flatMap { $0 }
        guard !events.isEmpty else { return Instant(milliseconds: 1_000_000) }
        let times = events.map { SegmentDecider.instant(of: $0) }
        let lengths = rules.flatMap { OracleTests.durations(in: $0.rule) }
        var at = random.pick(times).milliseconds + Int64(random.below(3) - 1)
        if random.chance(70), !lengths.isEmpty { at += random.pick(lengths) }
        if random.chance(15), !lengths.isEmpty { at += random.pick(lengths) }
        if random.chance(30) { at = max(at, times.max()?.milliseconds ?? at) }
        return Instant(milliseconds: at)
    }
}

private struct BulkDisagreement: Error, CustomStringConvertible {
    let description: String
}
