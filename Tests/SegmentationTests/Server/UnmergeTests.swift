import Foundation
import Models
import Postgres
import SegmentationDomain
import TestSupport
import Testing

@Suite(
    "A merge that is undone leaves no trace in segments",
    .enabled(if: TestDatabase.isAvailable, Comment(rawValue: TestDatabase.howToEnable)))
struct UnmergeTests {
    private let anna = Installation.profile("anna")
    private let bert = Installation.profile("bert")
    private let start = Installation.start

    @Test("each is again in what their own events say, since their own instants, with their own deadlines")
    func unmerge() async throws {
        try await Installation.with { installation in
            try await installation.put("one", ["count": ["event": "A", "within": "1h"]])
            try await installation.put("two", ["count": ["event": "A", "atLeast": 2, "within": "1h"]])
            try await installation.append([Installation.track("A", at: start)], to: anna)
            try await installation.append([Installation.track("A", at: start + .seconds(5))], to: bert)
            try await installation.drain()
            installation.clock.set(start + .minutes(10))
            try await installation.merge(bert, into: anna)
            try await installation.append(
                [Installation.track("A", at: start + .minutes(10))], to: anna, under: bert)
            try await installation.drain()
            #expect(try await installation.members("two") == [anna])
            installation.clock.set(start + .minutes(20))
            try await installation.unmerge(bert, from: anna)
            try await installation.drain()
            #expect(try await installation.members("one") == [anna, bert])
            #expect(try await installation.members("two") == [bert])
            #expect(
                try await installation.story(of: "two", anna) == [
                    "entered merge 5000", "exited unmerge 600000",
                ])
            #expect(try await installation.story(of: "two", bert) == ["entered unmerge 600000"])
            let told = try await installation.histories()
            #expect(told[anna]?.changes == [])
            #expect(
                told[bert]?.changes.map { "\($0.segment) \($0.change) \($0.at - start)" } == [
                    "two entered 600.0 seconds"
                ])
            #expect(told[bert]?.changes.first?.evidence[path: "cause.kind"] == "event")
            #expect(told[bert]?.versions == ["one": 1, "two": 1])
            #expect(told[bert]?.since == start + .minutes(10))
            installation.clock.set(start + .minutes(65))
            try await installation.sweep()
            #expect(try await installation.members("one") == [bert])
            #expect(try await installation.members("two") == [])
        }
    }

    @Test("facts of the two shards may be read in any order")
    func anyOrder() async throws {
        try await Installation.with { installation in
            try await installation.put("one", ["count": ["event": "A", "within": "1h"]])
            try await installation.append([Installation.track("A", at: start)], to: anna)
            try await installation.append([Installation.track("A", at: start)], to: bert)
            // All at once: the consumer learns of the merge when it has been undone already.
            try await installation.merge(bert, into: anna)
            try await installation.unmerge(bert, from: anna)
            try await installation.append([Installation.track("A", at: start + .seconds(9))], to: bert)
            try await installation.drain()
            #expect(try await installation.members("one") == [anna, bert])
            // And merged once more.
            installation.clock.advance(by: .seconds(20))
            try await installation.merge(bert, into: anna)
            try await installation.drain()
            #expect(try await installation.members("one") == [anna])
        }
    }

    @Test(
        "an erasure that is told of somebody who is not erased is passed over, and that of the other one is not"
    )
    func erasure() async throws {
        try await Installation.with { installation in
            try await installation.put("one", ["count": ["event": "A"]])
            try await installation.append([Installation.track("A", at: start)], to: anna)
            try await installation.append([Installation.track("A", at: start)], to: bert)
            try await installation.merge(bert, into: anna)
            try await installation.unmerge(bert, from: anna)
            try await installation.drain()
            #expect(try await installation.members("one") == [anna, bert])
            // In the place of what bert did while he was taken for anna.
            try await installation.append(
                [.erased(profileID: anna, at: start + .seconds(9))], erasing: false)
            try await installation.append([.erased(profileID: bert, at: start + .seconds(9))])
            try await installation.drain()
            #expect(try await installation.members("one") == [anna])
            #expect(
                try await installation.story(of: "one", anna).contains { $0.contains("erasure") } == false)
        }
    }

    @Test("of very many changes that would have been the latest are told, and how many there were besides")
    func manyChanges() async throws {
        try await Installation.with { installation in
            try await installation.put("short", ["count": ["event": "A", "within": "1ms"]])
            try await installation.put("ever", ["count": ["event": "A"]])
            try await installation.append([Installation.track("B", at: start)], to: anna)
            try await installation.append([Installation.track("B", at: start)], to: bert)
            try await installation.merge(bert, into: anna)
            let events = (0..<600).map {
                Installation.track("A", at: start + .milliseconds(10 * ($0 + 1)), id: "a\($0)")
            }
            installation.clock.set(start + .seconds(10))
            try await installation.append(events, to: anna, under: bert)
            try await installation.unmerge(bert, from: anna)
            try await installation.drain()
            let told = try #require(try await installation.histories()[bert])
            // In and out 600 times, and in once.
            #expect(told.changes.count == 1_000)
            #expect(told.leftOut == 201)
            // What is left out are the oldest, so nothing is claimed of the segments that they are of.
            #expect(told.versions == [:])
            #expect(told.changes.last?.at == start + .milliseconds(6_001))
        }
    }

    @Test("merged and undone is the same as never merged, for random rules and facts")
    func likeNeverMerged() async throws {
        let given = ProcessInfo.processInfo.environment["MARTLET_SEED"].flatMap { UInt64($0) }
        let seed = given ?? UInt64.random(in: 0...UInt64(UInt32.max))
        print("seed \(seed)")
        for number in 0..<UInt64(4) {
            var outcomes: [[String]] = []
            var told: [Set<String>] = []
            for merges in [true, false] {
                try await Installation.with { installation in
                    // The same numbers in both runs: rules and facts are the same.
                    var run = PairRun(installation, seed: seed &+ number, merges: merges)
                    outcomes.append(try await run.outcome())
                    told.append(try await run.told())
                }
            }
            #expect(outcomes[0] == outcomes[1], "seed \(seed &+ number)")
            #expect(told[0] == told[1], "seed \(seed &+ number)")
        }
    }
}

/// Two people who do the same in every run; in some runs they are taken for one for a time.
private struct PairRun {
    let installation: Installation
    let merges: Bool
    private var random: SeededGenerator
    private var rules: RandomRules
    private var histories: [RandomHistory]
    private var facts: [[TrackingEvent]] = [[], []]
    private let sweeps: Bool
    private var asOne: ClosedRange<Instant>?
    private let people = [Installation.profile("anna"), Installation.profile("bert")]

    init(_ installation: Installation, seed: UInt64, merges: Bool) {
        self.installation = installation
        self.merges = merges
        random = SeededGenerator(seed: seed)
        sweeps = random.chance(50)
        rules = RandomRules(generator: SeededGenerator(seed: random.next()))
        rules.namesDefinitions = false
        let seeds = [random.next(), random.next()]
        let traitRules = random.pick(RandomHistory.rules)
        histories = zip(seeds, ["a", "b"]).map {
            RandomHistory(generator: SeededGenerator(seed: $0), name: $1, rules: traitRules)
        }
    }

    mutating func outcome() async throws -> [String] {
        try await installation.putScore("engagement", rules.scoring())
        rules.scores = ["engagement"]
        try await installation.putStages([("a", rules.rule()), ("b", rules.rule())])
        rules.stages = ["a", "b"]
        for number in 0..<4 { try await installation.put("s\(number)", rules.rule()) }
        try await happen(8, merged: false)
        let merged = installation.clock.now
        if merges { try await installation.merge(people[1], into: people[0]) }
        try await happen(8, merged: merges)
        if random.chance(50) {
            try await installation.put("s0", rules.rule())
            try await installation.backfill()
        }
        try await happen(3, merged: merges)
        asOne = merged...installation.clock.now
        if merges { try await installation.unmerge(people[1], from: people[0]) }
        try await happen(4, merged: false, onTime: true)
        try await installation.drain()
        try await installation.sweep()
        try await installation.backfill()
        return try await look()
    }

    /// Before the two are parted facts may come late; after it one that is late for the one is not late for the other.
    /// And either facts come late, or deadlines fire between them: what a late fact finds already decided depends on when
    /// the sweeper came by, which no rebuilding can know.
    private mutating func happen(_ count: Int, merged: Bool, onTime: Bool = false) async throws {
        let isOnTime = sweeps || onTime
        for _ in 0..<count {
            let index = random.below(2)
            let drains = random.chance(40)
            var event = histories[index].next(after: facts[index])
            let isKnown = facts[index].contains { $0.messageID == event.messageID }
            let late = Duration.milliseconds(random.chance(20) ? random.below(1500) : 0)
            installation.clock.advance(by: .milliseconds(random.pick([1, 1, 2, 5, 20, 60, 250, 900])))
            if isKnown, isOnTime { continue }
            if !isKnown {
                event.timestamp = installation.clock.now - (isOnTime ? .zero : late)
                event.receivedAt = installation.clock.now
            }
            facts[index].append(event)
            try await installation.append(
                [event], to: merged ? people[0] : people[index], under: people[index])
            if drains || sweeps { try await installation.drain() }
            if sweeps { try await installation.sweep() }
        }
    }

    /// What was told of the time in which the two were one, or would have been; not of the rule that was changed.
    func told() async throws -> Set<String> {
        guard sweeps, let asOne else { return [] }
        let changes =
            try await merges
            ? installation.histories().values.flatMap(\.changes).filter { asOne.contains($0.at) }
            : installation.changes().filter {
                ($0.reason == .event || $0.reason == .time) && asOne.contains($0.at)
            }
        return Set(
            changes.filter { $0.segment != "s0" }.map {
                "\($0.profileID) \($0.segment) \($0.change) \($0.at) \($0.version) \($0.reason)"
            })
    }

    private func look() async throws -> [String] {
        let memberships = try await installation.owner.query(
            "SELECT profile_id, segment, entered_at FROM profiles.membership ORDER BY profile_id, segment")
        let deadlines = try await installation.owner.query(
            "SELECT profile_id, due_at FROM segmentation.deadline ORDER BY profile_id")
        let stages = try await installation.owner.query(
            "SELECT profile_id, stage, entered_at FROM profiles.stage ORDER BY profile_id")
        return try memberships.map { row in
            let segment: String = try row.get("segment")
            // Of a rule that was changed the old version, under which somebody may have entered, is not gone through.
            let since = segment == "s0" ? "" : " \(try row.get("entered_at", as: Instant.self))"
            return "\(try row.get("profile_id", as: ProfileID.self)) \(segment)\(since)"
        }
            + stages.map { row in
                "\(try row.get("profile_id", as: ProfileID.self)) stage \(try row.get("stage", as: String.self))"
                    + " \(try row.get("entered_at", as: Instant.self))"
            }
            + deadlines.map { row in
                "\(try row.get("profile_id", as: ProfileID.self)) due \(try row.get("due_at", as: Instant.self))"
            }
    }
}
