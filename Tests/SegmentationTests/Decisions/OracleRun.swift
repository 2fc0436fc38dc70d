import ConsentDomain
import Foundation
import Models
import SegmentationDomain

/// A disagreement, with what is needed to understand it.
struct Disagreement: Error, CustomStringConvertible {
    let description: String
}

/// One profile under some random segments, followed by engine and oracle.
struct OracleRun {
    var random: SeededGenerator
    var definitions: [(id: String, version: Int, rule: JSON)]
    var revision: Int64
    /// The rules that are to take the places of those in force, by segment.
    var next: [String: (version: Int, rule: JSON)] = [:]
    /// The same of scores, and of the whole list of stages.
    var nextScores: [String: (version: Int, scoring: JSON)] = [:]
    var nextStages: (version: Int, stages: [(id: String, rule: JSON)])?
    var since: [String: Instant] = [:]
    /// The first versions of segments that were deleted and made again.
    var firstVersions: [String: Int] = [:]
    /// The installation's time, at which definitions are changed.
    var clock: Instant = .distantPast
    /// The latest version of any rule.
    var versions = 1
    let rules: [String: TraitRule]
    let scale: RandomScale
    /// Whether segments look at others.
    let refers: Bool
    /// The scores that segments look at.
    var scores: [String: (version: Int, scoring: JSON)]
    /// The rules of the stages in their order.
    var stages: [(id: String, rule: JSON)]
    var stageVersion = 1
    /// The stage that a reader of the stream takes the profile to be in.
    var stage: String?
    var decider: SegmentDecider
    var state: ProfileState
    var history: RandomHistory
    var facts: [TrackingEvent] = []
    var members: Set<String> = []
    var latestChange: [String: Instant] = [:]
    var broken: String?
    let profile = ProfileID(UUIDv7.derived(at: Instant(milliseconds: 0), from: "profile"))

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

    func staged() throws -> [SegmentDefinition] {
        try Self.definitions(
            of: stages, version: stageVersion, since: since[SegmentDefinition.key(ofStage: "")])
    }

    static func definitions(
        of stages: [(id: String, rule: JSON)], version: Int, since: Instant? = nil
    ) throws -> [SegmentDefinition] {
        let list = JSON.array(stages.map { ["id": .string($0.id), "rule": $0.rule] })
        return StageDefinition.definitions(
            try StageDefinition.list(RuleField(list)), version: version, since: since ?? .distantPast)
    }

    static func stages(_ rules: inout RandomRules, refers: Bool) -> [(id: String, rule: JSON)] {
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

    func scored() throws -> [SegmentDefinition] {
        try Self.definitions(of: scores, since: since)
    }

    static func definitions(
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

    func makeDecider() throws -> SegmentDecider {
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
    var lastingStages: [String] {
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

    mutating func refresh() {
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

    mutating func merge(_ other: OracleRun) {
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
    mutating func note(_ changes: [MembershipChange]) {
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
}
