import Foundation
import Models
import Postgres
import SegmentationDomain
import ServiceKit
import TestSupport
import Testing

@testable import SegmentationServer

@Suite(
    "What is stored is what the plain oracle says",
    .enabled(if: TestDatabase.isAvailable, Comment(rawValue: TestDatabase.howToEnable)))
struct RandomRunTests {
    @Test("over random facts, sweeps, merges and their undoing, erasures and changes of rules")
    func randomRuns() async throws {
        let given = ProcessInfo.processInfo.environment["MARTLET_SEED"].flatMap { UInt64($0) }
        let seed = given ?? UInt64.random(in: 0...UInt64(UInt32.max))
        print("seed \(seed)")
        let times = ProcessInfo.processInfo.environment["MARTLET_CASES"].flatMap { UInt64($0) } ?? 1
        for number in 0..<3 * times {
            print("MARTLET_SEED=\(seed &+ number)")
            try await Installation.with { installation in
                var run = StoredRun(installation, random: SeededGenerator(seed: seed &+ number))
                try await run.go()
            }
        }
    }
}

/// A population whose facts are known, so that every membership can be worked out again.
private struct StoredRun {
    private let installation: Installation
    private var random: SeededGenerator
    private var rules: RandomRules
    private var definitions: [String: JSON] = [:]
    private var scores: [String: JSON] = [:]
    private var stages: [(id: String, rule: JSON)] = []
    private var people: [ProfileID]
    private var histories: [ProfileID: RandomHistory] = [:]
    /// What arrived under each profile.
    private var arrived: [ProfileID: [TrackingEvent]] = [:]
    /// Into whom each was merged.
    private var edges: [ProfileID: ProfileID] = [:]
    private var erased: Set<ProfileID> = []

    /// Everybody who is somebody else now.
    private var merged: Set<ProfileID> { Set(edges.keys) }

    /// A person's profiles, first who they are now.
    private func members(of person: ProfileID) -> [ProfileID] {
        [person] + edges.filter { $0.value == person }.keys.sorted().flatMap { members(of: $0) }
    }

    private var everybody: [TrackingEvent] { arrived.values.flatMap { $0 } }

    private func facts(of person: ProfileID) -> [TrackingEvent] {
        members(of: person).flatMap { arrived[$0] ?? [] }
    }

    init(_ installation: Installation, random: SeededGenerator) {
        self.installation = installation
        self.random = random
        rules = RandomRules(generator: SeededGenerator(seed: self.random.next()))
        rules.namesDefinitions = false
        people = (0..<8).map { Installation.profile("person \($0)") }
        let traitRules = self.random.pick(RandomHistory.rules)
        for (index, person) in people.enumerated() {
            histories[person] = RandomHistory(
                generator: SeededGenerator(seed: self.random.next()), name: "p\(index)", rules: traitRules)
        }
    }

    mutating func go() async throws {
        try await score()
        try await stage()
        for _ in 0..<2 { try await define() }
        for _ in 0..<40 {
            switch random.below(15) {
            case 12, 13: try await unmerge()
            case 14: try await erase()
            case 0: try await define()
            case 10: try await score()
            case 11: try await stage()
            case 1:
                try await installation.tellAccounts()
                try await installation.backfill()
                try await compareDifferences()
            case 2, 3: try await merge()
            case 4: try await pass()
            default: try await happen()
            }
            if random.chance(60) { try await installation.drain() }
        }
        try await installation.drain()
        try await installation.tellAccounts()
        // Changed rules wait for deadlines that are due.
        for _ in 0..<3 {
            try await installation.sweep()
            try await installation.backfill()
        }
        try await compare()
        try await compareDifferences()
        for table in ["membership_difference", "stage_difference"] {
            #expect(try await installation.owner.query("SELECT FROM segmentation.\(unsafe: table)").isEmpty)
        }
        // Far enough that every window has run out.
        installation.clock.set(Instant(milliseconds: 10_000_000))
        try await installation.sweep()
        // Of everybody at this instant, not at the latest that the engine knows of: a deadline that was lost shows.
        try await compare(at: installation.clock.now)
    }

    private mutating func define() async throws {
        let id = "s\(random.below(4))"
        if definitions[id] != nil, random.chance(20) {
            definitions[id] = nil
            _ = try await installation.harness.request("DELETE", "/v1/segments/\(id)")
            return
        }
        let rule = rules.rule()
        definitions[id] = rule
        try await installation.put(id, rule)
    }

    /// Makes a score up, or makes it up in another way.
    private mutating func score() async throws {
        let id = random.pick(["x", "y"])
        scores[id] = rules.scoring()
        try await installation.putScore(id, scores[id] ?? .null)
        rules.scores = scores.keys.sorted()
    }

    /// Gives the stages an order and other rules; none goes, as segments may look at it.
    private mutating func stage() async throws {
        var own = rules
        own.stages = []
        stages = ["a", "b", "c"].shuffled(using: &random).map { ($0, own.rule()) }
        rules.generator = own.generator
        try await installation.putStages(stages)
        rules.stages = stages.map(\.id)
    }

    private mutating func happen() async throws {
        let person = random.pick(people)
        var events: [TrackingEvent] = []
        // Events of the merged arrive under their old profile.
        let under = random.chance(50) ? members(of: person).last ?? person : person
        for _ in 0..<(1 + random.below(5)) {
            let known = facts(of: person)
            guard let event = histories[person]?.next(after: known) else { continue }
            arrived[under, default: []].append(event)
            events.append(event)
        }
        try await installation.append(events, to: person, under: under)
        installation.clock.set(max(installation.clock.now, events.map(\.timestamp).max() ?? .distantPast))
    }

    private mutating func merge() async throws {
        guard people.count > 3 else { return }
        let loser = people.remove(at: random.below(people.count))
        let survivor = random.pick(people)
        try await installation.merge(loser, into: survivor)
        edges[loser] = survivor
    }

    private mutating func unmerge() async throws {
        let candidates = edges.filter { people.contains($0.value) }.sorted { $0.key < $1.key }
        guard !candidates.isEmpty else { return }
        let (split, survivor) = random.pick(candidates)
        try await installation.unmerge(split, from: survivor)
        edges[split] = nil
        people.append(split)
    }

    private mutating func erase() async throws {
        guard people.count > 4 else { return }
        // What was not read by then is gone, also what it says of an account.
        try await installation.drain()
        let person = people.remove(at: random.below(people.count))
        let members = members(of: person)
        try await installation.erase(members)
        erased.formUnion(members)
        for member in members { edges[member] = nil }
    }

    private mutating func pass() async throws {
        try await installation.drain()
        try await installation.sweep()
    }

    /// The memberships are those of each profile's own instant, its latest fact or deadline, or of a later one by which all
    /// deadlines have fired.
    private func compare(at latest: Instant? = nil) async throws {
        var streamed: [String: Set<ProfileID>] = [:]
        for change in try await installation.changes() {
            if change.change == .entered {
                #expect(streamed[change.segment, default: []].insert(change.profileID).inserted)
            } else {
                #expect(streamed[change.segment]?.remove(change.profileID) != nil)
            }
        }
        for (id, members) in streamed where definitions[id] == nil { #expect(members.isEmpty) }
        try await compareStages(at: latest)
        for (id, rule) in definitions {
            let members = try await installation.members(id)
            #expect(members == streamed[id] ?? [])
            for person in people {
                guard let instant = try await decided(person, id, latest) else { continue }
                let wanted = PlainOracle(rule: rule, scores: scores, stages: stages, everybody: everybody)
                    .holds(facts(of: person), at: instant)
                #expect(
                    members.contains(person) == wanted, "\(id) \(rule.compact) at \(instant.milliseconds)")
            }
            for loser in merged.union(erased) { #expect(!members.contains(loser)) }
        }
    }

    /// Everybody is in the stage that the oracle says, by the table and by the stream, whose moves join up.
    private func compareStages(at latest: Instant?) async throws {
        let stored = try await installation.stages()
        var streamed: [ProfileID: String] = [:]
        for move in try await installation.moves() {
            #expect(move.previous == streamed[move.profileID] && move.stage != move.previous, "\(move.json)")
            streamed[move.profileID] = move.stage
        }
        #expect(streamed == stored)
        for loser in merged.union(erased) { #expect(stored[loser] == nil) }
        for person in people {
            guard let instant = try await decided(person, SegmentDefinition.key(ofStage: "a"), latest) else {
                continue
            }
            let wanted = stages.map(\.id).filter {
                PlainOracle(
                    rule: ["stage": .string($0)], scores: scores, stages: stages, everybody: everybody
                )
                .holds(facts(of: person), at: instant)
            }
            #expect([stored[person]].compactMap { $0 } == wanted, "at \(instant.milliseconds)")
        }
    }

    /// What is kept of what next rules will change is what the states say.
    private func compareDifferences() async throws {
        var wanted: [String: Bool] = [:]
        var wantedStages: [ProfileID: String?] = [:]
        let registry = SegmentRegistry(vault: installation.harness.context.vault)
        for row in try await installation.owner.query(
            "SELECT profile_id, state FROM segmentation.profile_state")
        {
            guard
                case .state(let state) = try await StateStore.stored(
                    row, registry, in: installation.harness.context.pool)
            else { continue }
            let id: ProfileID = try row.get("profile_id")
            for (segment, enters) in state.differences { wanted["\(id) \(segment)"] = enters }
            if let next = state.nextStage { wantedStages[id] = .some(next.id) }
        }
        var kept: [String: Bool] = [:]
        for row in try await installation.owner.query(
            "SELECT profile_id, segment, enters FROM segmentation.membership_difference")
        {
            let id: ProfileID = try row.get("profile_id")
            kept["\(id) \(try row.get("segment", as: String.self))"] = try row.get("enters")
        }
        #expect(kept == wanted)
        var keptStages: [ProfileID: String?] = [:]
        for row in try await installation.owner.query(
            "SELECT profile_id, stage FROM segmentation.stage_difference")
        {
            keptStages[try row.get("profile_id")] = .some(try row.get("stage", as: String?.self))
        }
        #expect(keptStages == wantedStages)
    }

    private func decided(
        _ person: ProfileID, _ segment: String, _ latest: Instant?
    ) async throws -> Instant? {
        let context = installation.harness.context
        let stored = try await StateStore.read(
            person, SegmentRegistry(vault: context.vault), in: context.pool)
        guard case .state(let state) = stored else { return nil }
        guard
            state.decidedAt > .distantPast
                || state.segments[segment]?.decidesFrom ?? .distantPast > .distantPast
        else { return nil }
        let own = max(state.decidedAt, state.segments[segment]?.decidesFrom ?? state.decidedAt)
        return max(own, latest ?? own)
    }
}
