import ConsentDomain
import Foundation
import Models
import SegmentationDomain
import Testing

@Suite("The engine and the plain oracle agree")
struct OracleTests {
    @Test("for random rules, histories and instants, with late events, duplicates and restarts")
    func randomHistories() async throws {
        try await Self.eachCase(600) { random in
            var run = try Run(random: random)
            for _ in 0..<(4 + run.random.below(24)) {
                run.takeNext()
                if run.random.chance(30) { try run.restart() }
                if run.random.chance(25) { run.letTimePass() }
                try run.compare()
            }
            try run.compareFuture(samples: 30)
        }
    }

    @Test("for calendar days, across changes of the clocks and 29 February")
    func calendars() async throws {
        try await Self.eachCase(80) { random in
            var random = random
            var run = try Run(random: random, scale: random.pick(RandomScale.calendars))
            for _ in 0..<(4 + run.random.below(16)) {
                run.takeNext()
                if run.random.chance(30) { try run.restart() }
                if run.random.chance(25) { run.letTimePass() }
                try run.compare()
            }
            try run.compareFuture(samples: 30)
        }
    }

    @Test("when rules are written and changed in between")
    func definitions() async throws {
        try await Self.eachCase(200) { random in
            var run = try Run(random: random)
            for step in 0..<(6 + run.random.below(16)) {
                run.takeNext()
                if step > 2, run.random.chance(30) { try run.changeDefinitions() }
                try run.compare()
            }
            try run.compareFuture(samples: 30)
        }
    }

    @Test("when next rules are worked out beside those in force, and take their places without any history")
    func nextRules() async throws {
        try await Self.eachCase(200) { random in
            var random = random
            var run = try Run(
                random: random, refers: random.chance(50), scored: random.chance(30),
                staged: random.chance(40))
            for step in 0..<(8 + run.random.below(16)) {
                if step > 2, !run.scores.isEmpty, run.random.chance(8) { try run.changeScores() }
                if step > 2, !run.stages.isEmpty, run.random.chance(8) { try run.changeStages() }
                run.takeNext()
                if run.random.chance(25) { run.letTimePass() }
                if step > 1, run.random.chance(35) { try run.writeNext() }
                if step > 1, !run.scores.isEmpty, run.random.chance(25) { try run.writeNextScore() }
                if step > 1, !run.stages.isEmpty, run.random.chance(25) { try run.writeNextStages() }
                if run.random.chance(35) { try run.switchOver() }
                if run.random.chance(15) { try run.changeDefinitions() }
                if run.random.chance(20) { try run.restart() }
                try run.compare()
            }
            try run.switchOver(all: true)
            try run.compareFuture(samples: 30)
        }
    }

    @Test("when segments look at others, and these change")
    func references() async throws {
        try await Self.eachCase(80) { random in
            var run = try Run(random: random, refers: true)
            for step in 0..<(6 + run.random.below(12)) {
                run.takeNext()
                if run.random.chance(25) { run.letTimePass() }
                if step > 2, run.random.chance(30) { try run.changeDefinitions() }
                try run.compare()
            }
            try run.compareFuture(samples: 30)
        }
    }

    @Test("when segments look at scores, and these change")
    func scores() async throws {
        try await Self.eachCase(200) { random in
            var random = random
            var run = try Run(
                random: random, scale: random.chance(20) ? random.pick(RandomScale.calendars) : .milliseconds,
                refers: random.chance(40), scored: true)
            for step in 0..<(6 + run.random.below(16)) {
                run.takeNext()
                if run.random.chance(25) { run.letTimePass() }
                if run.random.chance(20) { try run.restart() }
                if step > 2, run.random.chance(20) { try run.changeDefinitions() }
                if step > 2, run.random.chance(10) { try run.changeScores() }
                try run.compare()
            }
            try run.compareFuture(samples: 30)
        }
    }

    @Test("when there are stages, which look at segments and scores and are looked at, and these change")
    func stages() async throws {
        try await Self.eachCase(200) { random in
            var random = random
            var run = try Run(
                random: random, scale: random.chance(20) ? random.pick(RandomScale.calendars) : .milliseconds,
                refers: random.chance(60), scored: random.chance(40), staged: true)
            for step in 0..<(6 + run.random.below(16)) {
                run.takeNext()
                if run.random.chance(25) { run.letTimePass() }
                if run.random.chance(20) { try run.restart() }
                if step > 2, run.random.chance(15) { try run.changeDefinitions() }
                if step > 2, run.random.chance(10) { try run.changeStages() }
                if step > 2, !run.scores.isEmpty, run.random.chance(5) { try run.changeScores() }
                try run.compare()
            }
            try run.compareFuture(samples: 30)
        }
    }

    @Test("when profiles are merged")
    func merges() async throws {
        try await Self.eachCase(200) { random in
            var random = random
            var run = try Run(
                random: random, refers: random.chance(50), scored: random.chance(40),
                staged: random.chance(40))
            var other = try Run(
                random: random, seedOffset: 77, definitions: run.definitions, revision: run.revision,
                rules: run.rules, refers: run.refers, scores: run.scores, stages: run.stages)
            for _ in 0..<(2 + run.random.below(10)) { run.takeNext() }
            for _ in 0..<(run.random.below(10)) { other.takeNext() }
            run.merge(other)
            try run.compare()
            for _ in 0..<(2 + run.random.below(8)) {
                run.takeNext()
                if run.random.chance(30) { try run.restart() }
                try run.compare()
            }
            try run.compareFuture(samples: 30)
        }
    }

    @Test("when merges are undone, with scores and stages")
    func undoing() async throws {
        try await Self.eachCase(100) { random in
            var random = random
            var run = try Run(random: random, scored: random.chance(70), staged: random.chance(60))
            var other = try Run(
                random: random, seedOffset: 77, definitions: run.definitions, revision: run.revision,
                rules: run.rules, refers: run.refers, scores: run.scores, stages: run.stages)
            for _ in 0..<(1 + run.random.below(10)) { run.takeNext() }
            for _ in 0..<(1 + run.random.below(10)) { other.takeNext() }
            let others = Set(other.messages)
            run.merge(other)
            for _ in 0..<run.random.below(6) { run.takeNext() }
            run.unmerge(others)
            try run.compare()
            for _ in 0..<run.random.below(6) {
                run.takeNext()
                try run.compare()
            }
            try run.compareFuture(samples: 30)
        }
    }

    /// Runs cases under consecutive seeds from one that is printed; `MARTLET_SEED` repeats a run, `MARTLET_CASES`
    /// runs that many times as many.
    static func eachCase(_ count: Int, _ body: (SeededGenerator) throws -> Void) async throws {
        let environment = ProcessInfo.processInfo.environment
        let given = environment["MARTLET_SEED"].flatMap { UInt64($0) }
        let seed = given ?? UInt64.random(in: 0...UInt64(UInt32.max))
        print("seed \(seed)")
        let times = environment["MARTLET_CASES"].flatMap { Int($0) } ?? 1
        for number in 0..<UInt64(count * times) {
            // Others wait for the same two threads.
            await Task.yield()
            do { try body(SeededGenerator(seed: seed &+ number)) } catch {
                Issue.record("\(error); repeat with MARTLET_SEED=\(seed &+ number)")
                return
            }
        }
    }

    /// All lengths of time that a rule names.
    static func durations(in rule: JSON) -> [Int64] {
        switch rule {
        case .object(let members): members.values.flatMap { durations(in: $0) }
        case .array(let elements): elements.flatMap { durations(in: $0) }
        default:
            rule.string.flatMap { Duration(text: $0) ?? ConsentTerm($0)?.duration }.map { [$0.milliseconds] }
                ?? []
        }
    }
}

/// A disagreement, with what is needed to understand it.
private struct Disagreement: Error, CustomStringConvertible {
    let description: String
}

/// One profile under some random segments, followed by engine and oracle.
private struct Run {
    var random: SeededGenerator
    var definitions: [(id: String, version: Int, rule: JSON)]
    var revision: Int64
    /// The rules that are to take the places of those in force, by segment.
    private var next: [String: (version: Int, rule: JSON)] = [:]
    /// The same of scores, and of the whole list of stages.
    private var nextScores: [String: (version: Int, scoring: JSON)] = [:]
    private var nextStages: (version: Int, stages: [(id: String, rule: JSON)])?
    private var since: [String: Instant] = [:]
    /// The first versions of segments that were deleted and made again.
    private var firstVersions: [String: Int] = [:]
    /// The installation's time, at which definitions are changed.
    private var clock: Instant = .distantPast
    /// The latest version of any rule.
    private var versions = 1
    let rules: [String: TraitRule]
    private let scale: RandomScale
    /// Whether segments look at others.
    let refers: Bool
    /// The scores that segments look at.
    private(set) var scores: [String: (version: Int, scoring: JSON)]
    /// The rules of the stages in their order.
    private(set) var stages: [(id: String, rule: JSON)]
    private var stageVersion = 1
    /// The stage that a reader of the stream takes the profile to be in.
    private var stage: String?
    private var decider: SegmentDecider
    private var state: ProfileState
    private var history: RandomHistory
    private var facts: [TrackingEvent] = []
    private var members: Set<String> = []
    private var latestChange: [String: Instant] = [:]
    private var broken: String?
    private let profile = ProfileID(UUIDv7.derived(at: Instant(milliseconds: 0), from: "profile"))

    init(
        random: SeededGenerator, seedOffset: UInt64 = 0,
        definitions: [(id: String, version: Int, rule: JSON)]? = nil,
        revision: Int64 = 1, rules given: [String: TraitRule]? = nil,
        scale: RandomScale = .milliseconds, refers: Bool = false, scored: Bool = false,
        scores known: [String: (version: Int, scoring: JSON)] = [:],
        staged: Bool = false, stages kept: [(id: String, rule: JSON)] = []
    ) throws {
        var random = random
        self.refers = refers
        self.scale = scale
        let seed = random.next() &+ seedOffset
        rules = given ?? random.pick(RandomHistory.rules)
        history = RandomHistory(
            generator: SeededGenerator(seed: seed), name: "m\(seedOffset)", rules: rules, scale: scale)
        history.hasConsents = true
        var written = RandomRules(generator: SeededGenerator(seed: seed ^ 0xABCD), scale: scale)
        scores = known
        if scored { for id in ["x", "y"] { scores[id] = (1, written.scoring()) } }
        written.scores = scores.keys.sorted()
        stages = staged ? Self.stages(&written, refers: refers) : kept
        let ids = stages.map(\.id)
        self.definitions =
            definitions
            ?? (0..<3).map { number in
                written.segments = refers ? (0..<number).map { "s\($0)" } + ["nobody"] : []
                // The rules of stages may look at the first.
                written.stages = number == 0 ? [] : ids
                return ("s\(number)", 1, written.stored())
            }
        self.random = random
        self.revision = revision
        decider = SegmentDecider(SegmentSet(revision: revision, segments: []))
        state = decider.newState()
        decider = try makeDecider()
        state = decider.newState()
    }

    private func staged() throws -> [SegmentDefinition] {
        try Self.definitions(
            of: stages, version: stageVersion, since: since[SegmentDefinition.key(ofStage: "")])
    }

    private static func definitions(
        of stages: [(id: String, rule: JSON)], version: Int, since: Instant? = nil
    ) throws -> [SegmentDefinition] {
        let list = JSON.array(stages.map { ["id": .string($0.id), "rule": $0.rule] })
        return StageDefinition.definitions(
            try StageDefinition.list(RuleField(list)), version: version, since: since ?? .distantPast)
    }

    private static func stages(_ rules: inout RandomRules, refers: Bool) -> [(id: String, rule: JSON)] {
        rules.segments = refers ? ["s0"] : []
        rules.stages = []
        var ids = ["a", "b", "c", "d"]
        ids.shuffle(using: &rules.generator)
        return ids.dropLast(rules.generator.below(3)).map { ($0, rules.rule()) }
    }

    /// Puts other stages in the place of those in force, or the same in another order.
    mutating func changeStages() throws {
        var rules = RandomRules(generator: SeededGenerator(seed: random.next()), scale: scale)
        rules.scores = scores.keys.sorted()
        if random.chance(30) {
            stages.shuffle(using: &random)
        } else {
            stages = random.chance(10) ? [] : Self.stages(&rules, refers: refers)
        }
        versions += 1
        stageVersion = versions
        nextStages = nil
        revision += 1
        decider = try makeDecider()
        refresh()
    }

    private func scored() throws -> [SegmentDefinition] {
        try Self.definitions(of: scores, since: since)
    }

    private static func definitions(
        of scores: [String: (version: Int, scoring: JSON)], since: [String: Instant] = [:]
    ) throws -> [SegmentDefinition] {
        try scores.map {
            SegmentDefinition(
                score: $0.key, version: $0.value.version, scoring: try Scoring(RuleField($0.value.scoring)),
                since: since[SegmentDefinition.key(ofScore: $0.key)] ?? .distantPast)
        }
    }

    /// Makes a score up in another way.
    mutating func changeScores() throws {
        var rules = RandomRules(generator: SeededGenerator(seed: random.next()), scale: scale)
        let id = random.pick(scores.keys.sorted())
        versions += 1
        scores[id] = (versions, rules.scoring())
        nextScores[id] = nil
        revision += 1
        decider = try makeDecider()
        refresh()
    }

    private func makeDecider() throws -> SegmentDecider {
        let inForce = try definitions.map {
            SegmentDefinition(
                id: $0.id, version: $0.version, condition: try RuleReader.read(stored: $0.rule),
                since: since[$0.id] ?? .distantPast, firstVersion: firstVersions[$0.id] ?? 1)
        }
        let upcoming = try next.map {
            SegmentDefinition(
                id: $0.key, version: $0.value.version, condition: try RuleReader.read(stored: $0.value.rule),
                firstVersion: firstVersions[$0.key] ?? 1)
        }
        let coming = try upcoming + Self.definitions(of: nextScores)
        let nextStages = try nextStages.map { try Self.definitions(of: $0.stages, version: $0.version) }
        return SegmentDecider(
            try SegmentSet(
                revision: revision, inForce: inForce + scored() + staged(), next: coming + (nextStages ?? []))
        )
    }

    /// Makes a score up in another way, beside how it is, or takes that back.
    mutating func writeNextScore() throws {
        let id = random.pick(scores.keys.sorted())
        revision += 1
        if nextScores[id] != nil, random.chance(20) {
            nextScores[id] = nil
        } else {
            var rules = RandomRules(generator: SeededGenerator(seed: random.next()), scale: scale)
            versions += 1
            nextScores[id] = (versions, rules.scoring())
        }
        decider = try makeDecider()
        refresh()
    }

    /// Writes another list of stages, beside the one in force, or takes it back. Those that rules name stay.
    mutating func writeNextStages() throws {
        revision += 1
        if nextStages != nil, random.chance(20) {
            nextStages = nil
        } else {
            var rules = RandomRules(generator: SeededGenerator(seed: random.next()), scale: scale)
            rules.scores = scores.keys.sorted()
            var list = Self.stages(&rules, refers: refers)
            let named = (definitions.map(\.rule) + next.values.map(\.rule)).map(\.compact).joined()
            for (id, rule) in stages
            where named.contains("\"\(id)\"") && !list.contains(where: { $0.id == id }) {
                list.append((id, rule))
            }
            versions += 1
            nextStages = (versions, list)
        }
        decider = try makeDecider()
        refresh()
    }

    /// The stages that there are and that stay.
    private var lastingStages: [String] {
        stages.map(\.id).filter { id in nextStages?.stages.contains { $0.id == id } ?? true }
    }

    /// Writes a next rule for a segment, or another in the place of one that has not come into force, or takes it back.
    mutating func writeNext() throws {
        let index = random.below(definitions.count)
        let id = definitions[index].id
        revision += 1
        if next[id] != nil, random.chance(20) {
            next[id] = nil
        } else {
            var rules = RandomRules(generator: SeededGenerator(seed: random.next()), scale: scale)
            rules.segments = refers ? definitions.prefix(index).map(\.id) : []
            rules.scores = scores.keys.sorted()
            rules.stages = index == 0 ? [] : lastingStages
            versions += 1
            next[id] = (versions, rules.stored())
        }
        decider = try makeDecider()
        refresh()
    }

    /// Brings some or all next rules into force: those together that look at each other.
    mutating func switchOver(all: Bool = false) throws {
        let ids = decider.set.nextGroups.filter { _ in all || random.chance(60) }.reduce(Set()) {
            $0.union($1)
        }
        guard !ids.isEmpty else { return }
        revision += 1
        let now = state.decidedAt + .milliseconds(random.below(50) - 20)
        // By then all that is due has fired.
        note(decider.advance(&state, to: now, of: profile))
        var wanted: [String: Bool] = [:]
        for id in ids {
            // What the rule in force looks at may have changed later than that: then it is decided from there on.
            let from = state.segments[id]?.decidesFrom ?? .distantPast
            guard from <= max(now, state.decidedAt) else { continue }
            wanted[id] = state.segments[SegmentDefinition.nextID(of: id)]?.isMember
        }
        for (index, definition) in definitions.enumerated() where ids.contains(definition.id) {
            guard let rule = next.removeValue(forKey: definition.id) else { continue }
            definitions[index] = (definition.id, rule.version, rule.rule)
            since[definition.id] = now
        }
        for id in scores.keys where ids.contains(SegmentDefinition.key(ofScore: id)) {
            guard let score = nextScores.removeValue(forKey: id) else { continue }
            scores[id] = score
            since[SegmentDefinition.key(ofScore: id)] = now
        }
        if let list = nextStages, ids.contains(where: SegmentDefinition.isOfStages) {
            (stages, stageVersion, nextStages) = (list.stages, list.version, nil)
            since[SegmentDefinition.key(ofStage: "")] = now
            // Who was in one that is gone has left it, and nobody asks for it any more.
            wanted = wanted.filter { id, _ in
                SegmentDefinition.stage(ofKey: id).map { stage in stages.contains { $0.id == stage } } ?? true
            }
        }
        decider = try makeDecider()
        guard !decider.needsHistory(state) else { throw Disagreement(description: "a history is asked for") }
        // Sometimes something else changes before the state is brought to it.
        if !all, random.chance(30) {
            switch random.below(4) {
            case 0 where !scores.isEmpty: try changeScores()
            case 1 where !stages.isEmpty: try changeStages()
            case 2: try writeNext()
            default: try changeDefinitions()
            }
            return
        }
        clock = max(clock, now + .milliseconds(random.below(30)))
        note(decider.refresh(&state, with: [], now: clock, of: profile))
        for (id, isMember) in wanted where members.contains(id) != isMember {
            throw Disagreement(description: "\(id) is not what its next rule had said: \(isMember)")
        }
    }

    private mutating func refresh() {
        clock = max(clock, state.decidedAt + .milliseconds(random.below(50) - 20))
        note(decider.refresh(&state, with: facts.shuffled(using: &random), now: clock, of: profile))
    }

    mutating func takeNext() {
        let event = history.next(after: facts)
        facts.append(event)
        note(decider.apply(event, to: &state, of: profile))
    }

    mutating func letTimePass() {
        let target = state.decidedAt + .milliseconds(Int64(random.below(400)) * scale.unit)
        note(decider.advance(&state, to: target, of: profile))
    }

    mutating func restart() throws {
        let stored = state.json.compact
        let read = try ProfileState(json: try JSONParser.parse(stored))
        guard read == state else {
            throw Disagreement(description: "a stored state reads differently: \(stored)")
        }
        let packed = PackedState(state)
        let layout = try StateLayout(json: try JSONParser.parse(decider.set.layout.json.compact))
        let unpacked = try packed.state(layout)
        guard try packed.layoutKey == layout.key, unpacked == state else {
            throw Disagreement(description: "a packed state reads differently: \(stored)")
        }
        state = unpacked
    }

    mutating func changeDefinitions() throws {
        var rules = RandomRules(generator: SeededGenerator(seed: random.next()), scale: scale)
        rules.scores = scores.keys.sorted()
        revision += 1
        versions += 1
        switch random.below(3) {
        case 0 where definitions.count > 1: next[definitions.removeLast().id] = nil
        case 1 where random.chance(30):
            // Deleted, and made again before anybody was told.
            let index = random.below(definitions.count)
            let id = definitions[index].id
            rules.segments = refers ? definitions.prefix(index).map(\.id) : []
            definitions[index] = (id, versions, rules.stored())
            (next[id], firstVersions[id]) = (nil, versions)
        case 1:
            rules.segments = refers ? definitions.map(\.id) : []
            rules.stages = lastingStages
            definitions.append(("t\(String(revision + 100))", 1, rules.stored()))
        default:
            let index = random.below(definitions.count)
            rules.stages = index == 0 ? [] : lastingStages
            rules.segments = refers ? definitions.prefix(index).map(\.id) + ["s\(3 + index)"] : []
            definitions[index] = (definitions[index].id, versions, rules.stored())
        }
        decider = try makeDecider()
        refresh()
    }

    mutating func merge(_ other: Run) {
        let at = (facts + other.facts).map { SegmentDecider.instant(of: $0) }.max() ?? .distantPast
        let instant = max(at, max(state.decidedAt, other.state.decidedAt))
        note(decider.advance(&state, to: instant, of: profile))
        facts += other.facts
        let cause = Cause.merge(merged: other.profile, mergeID: MergeID(profile.uuid))
        note(
            decider.merge(
                &state, with: facts.shuffled(using: &random), loser: other.state, cause: cause, of: profile))
    }

    var messages: [String] { facts.map(\.messageID) }

    /// Parts with the facts of these messages; what is left is in the order in which it arrived.
    mutating func unmerge(_ others: Set<String>) {
        facts.removeAll { others.contains($0.messageID) }
        var parted: ProfileState? = state
        let (changes, _, _) = decider.unmerge(
            &parted, with: facts, decidesFrom: [:], since: .distantPast,
            cause: .unmerge(mergeID: MergeID(profile.uuid)),
            now: state.decidedAt, of: profile)
        state = parted ?? state
        // What is gained is entered when its own facts say, which may be long ago.
        latestChange = [:]
        note(changes)
        latestChange = [:]
    }

    /// Follows the changes as a reader of the stream would: entries and exits alternate, and time never goes back.
    private mutating func note(_ changes: [MembershipChange]) {
        for step in StageMoves.steps(in: changes) where step.stage != step.previous {
            if step.previous != stage || step.stage == stage {
                broken = "no move from \(stage ?? "none"): \(step.json)"
            }
            if let latest = latestChange["stage"], step.at < latest {
                broken = "time went back: \(step.json)"
            }
            latestChange["stage"] = step.at
            stage = step.stage
            if step.reason == .time, stage(at: step.at - .milliseconds(1)) == stage {
                broken = "\(step.json) is not at its exact instant"
            }
        }
        for change in changes where SegmentDefinition.segment(ofNext: change.segment) == nil {
            let entered = change.change == .entered
            if members.contains(change.segment) == entered {
                broken = "\(change.segment) \(change.change) twice"
            }
            if let latest = latestChange[change.segment], change.at < latest {
                broken = "time went back: \(change.json)"
            }
            latestChange[change.segment] = change.at
            if entered { members.insert(change.segment) } else { members.remove(change.segment) }
            guard change.reason == .time,
                let rule = definitions.first(where: { $0.id == change.segment })?.rule
            else { continue }
            let before = oracle(rule).holds(facts, at: change.at - .milliseconds(1))
            if before == entered { broken = "\(change.json) is not at its exact instant" }
        }
    }

    private func oracle(_ rule: JSON, byNextRules: Bool = false) -> PlainOracle {
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
    private func stage(at instant: Instant) -> String? {
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
    private func compareNext() throws {
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

    private func compare(_ state: ProfileState, _ members: Set<String>, at instant: Instant) throws {
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
    private mutating func candidate(_ fact: TrackingEvent, _ windows: [Int64], _ rules: [JSON]) -> Int64 {
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

    private static func zone(in rule: JSON) -> String? {
        switch rule {
        case .object(let members):
            members["zone"]?.string ?? members.values.lazy.compactMap { zone(in: $0) }.first
        case .array(let elements): elements.lazy.compactMap { zone(in: $0) }.first
        default: nil
        }
    }

    /// All times that a fact names.
    private static func times(in fact: JSON) -> [Int64] {
        switch fact {
        case .object(let members): members.values.flatMap { times(in: $0) }
        case .array(let elements): elements.flatMap { times(in: $0) }
        default:
            fact.string.flatMap { Instant(rfc3339: $0) ?? Instant(rfc3339: "\($0)T00:00:00Z") }
                .map { [$0.milliseconds] } ?? []
        }
    }

    /// When the days begin, in the zones of a rule, by which an event may leave its calendar windows.
    private static func midnights(after fact: TrackingEvent, in rule: JSON) -> [Int64] {
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
