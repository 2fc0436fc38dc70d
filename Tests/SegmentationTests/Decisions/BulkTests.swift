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

    @Test("also of when things happened and in which order, with many at one instant and around midnights")
    func order() async throws {
        var (members, asked) = (0, 0)
        try await OracleTests.eachCase(250) { random in
            var run = try BulkRandomRun(ordered: random)
            for _ in 0..<8 { try run.compare() }
            // Nothing in these is left to the engine.
            #expect(run.compiled == run.rules.count)
            members += run.members
            asked += run.asked
        }
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
    private let histories: [[TrackingEvent]]
    private let columns: EventColumns
    private let scale: RandomScale

    /// Any rules and histories.
    init(_ generator: SeededGenerator) throws {
        var random = generator
        let scale = random.chance(25) ? random.pick(RandomScale.calendars) : .milliseconds
        var written = RandomRules(generator: SeededGenerator(seed: random.next()), scale: scale)
        let rules = (0..<8).map { _ in written.rule() }
        // Sometimes more colours than a word has bits.
        let colours = random.chance(30) ? 100 : 0
        let policy = random.pick(RandomHistory.rules)
        var histories: [[TrackingEvent]] = []
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
            }
            histories.append(events)
        }
        try self.init(rules, histories, scale, random)
    }

    /// Rules about order and about days, and few instants for many events.
    init(ordered generator: SeededGenerator) throws {
        var random = generator
        let scale = random.chance(50) ? random.pick(RandomScale.calendars) : .milliseconds
        let isCalendar = scale.isCalendar
        let rules = (0..<8).map { _ -> JSON in
            isCalendar && random.chance(60) ? Self.days(scale, &random) : Self.sequence(scale, &random)
        }
        let histories = (0..<12).map { profile in
            (0..<random.below(12)).map { number in
                let step = Int64(random.below(isCalendar ? 120 : 6)) * scale.unit
                let at = Instant(milliseconds: scale.start + step)
                return TrackingEvent(
                    messageID: "m\(random.below(1_000)).\(number)", kind: .track,
                    name: random.pick(["A", "B", "C"]), timestamp: at, receivedAt: at + .seconds(60),
                    sourceID: RandomHistory.source)
            }
        }
        try self.init(rules, histories, scale, random)
    }

    private static func sequence(_ scale: RandomScale, _ random: inout SeededGenerator) -> JSON {
        func length(_ random: inout SeededGenerator) -> JSON {
            .string(Duration.milliseconds(Int64(1 + random.below(4)) * scale.unit).text)
        }
        func events(_ random: inout SeededGenerator) -> [String: JSON] {
            ["event": random.pick(["A", "B", "C", ["A", "B"], "*"] as [JSON])]
        }
        var first = events(&random)
        if random.chance(25) { (first["atLeast"], first["in"]) = (2, length(&random)) }
        var steps = [first]
        for _ in 0..<(1 + random.below(2)) {
            var step = events(&random)
            if random.chance(50) { step["within"] = length(&random) }
            if random.chance(60) { step["without"] = .object(events(&random)) }
            steps.append(step)
        }
        if random.chance(40) {
            steps.append([
                "not": .object(events(&random)), "within": .string(Duration.milliseconds(scale.unit).text),
            ])
        }
        return ["sequence": ["steps": .array(steps.map { .object($0) })]]
    }

    private static func days(_ scale: RandomScale, _ random: inout SeededGenerator) -> JSON {
        let zone = JSON.string(random.pick(scale.zones))
        let days = Int64(random.below(4))
        let event: JSON = random.pick(["A", "B", "*"])
        if random.chance(30) {
            return ["count": ["event": event, "within": ["days": .integer(days + 1), "zone": zone]]]
        }
        var ago: [String: JSON] = ["zone": zone, "between": [.integer(days), .integer(days + 1)]]
        if random.chance(75) {
            ago = ["zone": zone, random.pick(["atLeast", "atMost", "exactly"]): .integer(days)]
        }
        return [random.pick(["first", "last"]): ["event": event, "daysAgo": .object(ago)]]
    }

    private init(
        _ rules: [JSON], _ histories: [[TrackingEvent]], _ scale: RandomScale, _ generator: SeededGenerator
    ) throws {
        var random = generator
        self.rules = rules.enumerated().map { ("s\($0.offset)", $0.element) }
        self.histories = histories
        self.scale = scale
        definitions = try self.rules.map {
            SegmentDefinition(id: $0.id, version: 1, condition: try RuleReader.read($0.rule))
        }
        var arrivals = histories.enumerated().flatMap { profile, events in events.map { (profile, $0) } }
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
        if scale.isCalendar, random.chance(40) {
            let calendar = PlainOracle.calendar(random.pick(scale.zones))
            let day = calendar.startOfDay(for: PlainOracle.date(random.pick(times)))
            let midnight = calendar.date(byAdding: .day, value: random.below(5), to: day) ?? day
            let at = Int64((midnight.timeIntervalSince1970 * 1_000).rounded())
            return Instant(milliseconds: at + Int64(random.below(3) - 1))
        }
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
