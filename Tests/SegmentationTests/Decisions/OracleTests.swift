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
            var run = try OracleRun(random: random)
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
            var run = try OracleRun(random: random, scale: random.pick(RandomScale.calendars))
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
            var run = try OracleRun(random: random)
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
            var run = try OracleRun(
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
            var run = try OracleRun(random: random, refers: true)
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
            var run = try OracleRun(
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
            var run = try OracleRun(
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
            var run = try OracleRun(
                random: random, refers: random.chance(50), scored: random.chance(40),
                staged: random.chance(40))
            var other = try OracleRun(
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
            var run = try OracleRun(random: random, scored: random.chance(70), staged: random.chance(60))
            var other = try OracleRun(
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
