import Models
import Postgres
import SegmentationDomain
import ServiceKit
import TestSupport
import Testing

@testable import SegmentationServer

@Suite(
    "A changed score or list of stages, from when it is stored until everybody has been told",
    .enabled(if: TestDatabase.isAvailable, Comment(rawValue: TestDatabase.howToEnable)))
struct NextScoreTests {
    private let start = Installation.start
    private let people = (0..<12).map { Installation.profile("p\($0)") }
    /// Those who have done B besides A.
    private var keen: [ProfileID] { people.enumerated().filter { $0.offset % 3 == 0 }.map(\.element) }
    private var others: [ProfileID] { people.filter { !keen.contains($0) } }

    /// Everybody has done A, a third of them B as well; an hour later all is known.
    private func populate(_ installation: Installation) async throws {
        for person in people {
            let names = keen.contains(person) ? ["A", "B"] : ["A"]
            try await installation.append(
                names.map { Installation.track($0, at: start, id: "\($0) \(person)") }, to: person)
        }
        installation.clock.advance(by: .hours(1))
        try await installation.drain()
    }

    private func card(_ person: ProfileID, _ installation: Installation) async throws -> JSON {
        try await installation.harness.request("GET", "/v1/scorecard/\(person)").json
    }

    private func step(_ installation: Installation) async throws -> Bool {
        try await installation.worker(BackfillWorker.self).step()
    }

    @Test(
        "the old score answers everywhere until the last shard is done, and then the new one for all, with the segments and stages that look at it"
    )
    func score() async throws {
        try await Installation.with { installation in
            try await installation.putScore("warmth", ["events": [["event": "A", "weight": 2]]])
            try await installation.put("warm", "score warmth at least 2")
            try await installation.put("cold", ["not": ["segment": "warm"]])
            try await installation.putStages([
                ("new", "did any event"), ("near", ["score": ["id": "warmth", "atLeast": 2]]),
            ])
            try await populate(installation)
            try await installation.backfill()
            #expect(try await installation.members("warm") == Set(people))
            #expect(try await installation.members("cold") == [])
            #expect(Set(try await installation.stages().values) == ["near"])
            let told = try await installation.changes().count

            let put = try await installation.putScore("warmth", ["events": [["event": "B", "weight": 5]]])
            #expect(put.json["status"] == "backfilling" && put.json["version"] == 1)
            // Shard by shard, and with facts in between.
            let late = Installation.profile("late")
            try await installation.append([Installation.track("A", at: start + .minutes(50))], to: late)
            for number in 0..<Shard.count {
                #expect(try await step(installation))
                if number == 30 { try await installation.drain() }
                guard number % 16 == 0 else { continue }
                #expect(try await installation.members("warm").isSuperset(of: people))
                #expect(Set(try await installation.stages().values) == ["near"])
                for person in people.prefix(4) {
                    let card = try await card(person, installation)
                    #expect(card[path: "scores.0.score"] == "2" && card[path: "scores.0.version"] == 1)
                    #expect(card[path: "stage.stage"] == "near")
                }
            }
            #expect(try await installation.changes().count == told + 1)
            #expect(try await installation.moves().count == people.count + 1)

            installation.clock.advance(by: .minutes(5))
            let switched = installation.clock.now
            // One step more, and all of it is so for everybody, though nobody has been told yet.
            #expect(try await step(installation))
            #expect(try await installation.members("warm") == Set(keen))
            #expect(try await installation.members("cold") == Set(others + [late]))
            var wanted = Dictionary(keen.map { ($0, "near") }, uniquingKeysWith: { $1 })
            for person in others + [late] { wanted[person] = "new" }
            #expect(try await installation.stages() == wanted)
            #expect(try await installation.changes().count == told + 1)
            for person in people + [late] {
                let card = try await card(person, installation)
                #expect(card[path: "scores.0.score"] == (keen.contains(person) ? "5" : "0"))
                #expect(card[path: "scores.0.version"] == 2)
                #expect(card[path: "stage.stage"] == .string(wanted[person] ?? ""))
            }

            installation.clock.advance(by: .minutes(5))
            try await installation.backfill()
            #expect(try await installation.members("warm") == Set(keen))
            #expect(try await installation.stages() == wanted)
            let changes = try await installation.changes().filter { $0.reason == .definition }
            #expect(changes.count == 2 * (others.count + 1) && changes.allSatisfy { $0.at == switched })
            let moves = try await installation.moves().filter { $0.reason == .definition }
            #expect(Set(moves.map(\.profileID)) == Set(others + [late]) && moves.count == others.count + 1)
            #expect(moves.allSatisfy { $0.at == switched && $0.stage == "new" && $0.previous == "near" })
            try await expectNothingLeft(installation)
        }
    }

    @Test("another list of stages takes its place for all at once, also of those that are no more")
    func stages() async throws {
        try await Installation.with { installation in
            try await installation.putStages([("seen", #"did "A""#), ("near", #"did "B""#)])
            try await populate(installation)
            try await installation.backfill()
            let before = try await installation.stages()
            #expect(Set(before.values) == ["seen", "near"])
            try await installation.putStages([("near", #"did "B""#), ("seen", #"did "C""#)])
            // Another before that was everywhere: `seen` is no more, and the others have a new one.
            for _ in 0..<20 { #expect(try await step(installation)) }
            try await installation.putStages([("close", #"did "B""#), ("later", #"did "C""#)])
            for _ in 0..<Shard.count {
                #expect(try await step(installation))
                #expect(try await installation.stages() == before)
            }
            installation.clock.advance(by: .minutes(5))
            let switched = installation.clock.now
            #expect(try await step(installation))
            let after = Dictionary(keen.map { ($0, "close") }, uniquingKeysWith: { $1 })
            #expect(try await installation.stages() == after)
            installation.clock.advance(by: .minutes(5))
            try await installation.backfill()
            #expect(try await installation.stages() == after)
            let moves = try await installation.moves().filter { $0.reason == .definition }
            #expect(moves.count == people.count && moves.allSatisfy { $0.at == switched })
            for move in moves {
                #expect(move.stage == after[move.profileID] && move.previous == before[move.profileID])
                #expect(move.version == 3 || move.stage == nil)
            }
            let row = try await installation.owner.query(
                "SELECT DISTINCT version, entered_at FROM profiles.stage")
            #expect(try row.map { try $0.get("version", as: Int.self) } == [3])
            #expect(try row.map { try $0.get("entered_at", as: Instant.self) } == [switched])
            try await expectNothingLeft(installation)

            // None at all: nobody has to be decided for that.
            try await installation.putStages([])
            #expect(try await installation.stages() == [:])
            try await installation.backfill()
            #expect(try await installation.moves().count == moves.count + people.count + 2 * keen.count)
            try await expectNothingLeft(installation)
        }
    }

    @Test("what is taken back before its time leaves nothing behind")
    func takenBack() async throws {
        try await Installation.with { installation in
            let scoring: JSON = ["events": [["event": "A", "weight": 2]]]
            let list: [(id: String, rule: JSON)] = [("seen", #"did "A""#), ("near", #"did "B""#)]
            try await installation.putScore("warmth", scoring)
            try await installation.put("warm", "score warmth at least 2")
            try await installation.putStages(list)
            try await populate(installation)
            try await installation.backfill()
            let (changes, moves) = (
                try await installation.changes().count, try await installation.moves().count
            )
            try await installation.putScore("warmth", ["events": [["event": "B", "weight": 2]]])
            try await installation.putStages([list[1], list[0]])
            for _ in 0..<40 { #expect(try await step(installation)) }
            let score = try await installation.putScore("warmth", scoring)
            #expect(score.json["next"] == .null && score.json["version"] == 1)
            let stages = try await installation.putStages(list)
            #expect(stages.json["next"] == .null && stages.json["version"] == 1)
            try await installation.backfill()
            #expect(try await installation.changes().count == changes)
            #expect(try await installation.moves().count == moves)
            try await expectNothingLeft(installation)
            let kept = try await installation.harness.request("GET", "/v1/scores/warmth").json
            #expect(kept["status"] == "live")
        }
    }

    @Test(
        "people who are merged, parted or erased on the way are in one stage each, and leave no differences behind"
    )
    func onTheWay() async throws {
        try await Installation.with { installation in
            try await installation.putStages([("seen", #"did "A""#), ("near", #"did "B""#)])
            try await populate(installation)
            try await installation.putStages([("near", #"did "B""#), ("seen", #"did "A""#)])
            for _ in 0..<Shard.count { #expect(try await step(installation)) }
            try await installation.merge(people[1], into: people[0])
            try await installation.append([.erased(profileID: people[3], at: start + .hours(1))])
            try await installation.drain()
            #expect(try await step(installation))
            try await installation.unmerge(people[1], from: people[0])
            try await installation.drain()
            try await installation.backfill()
            var wanted = Dictionary(people.map { ($0, "seen") }, uniquingKeysWith: { $1 })
            wanted[people[3]] = nil
            #expect(try await installation.stages() == wanted)
            var streamed: [ProfileID: String] = [:]
            for move in try await installation.moves() {
                #expect(move.previous == streamed[move.profileID] && move.stage != move.previous)
                streamed[move.profileID] = move.stage
            }
            #expect(streamed == wanted)
            try await expectNothingLeft(installation)
        }
    }

    private func expectNothingLeft(_ installation: Installation) async throws {
        for table in ["membership_difference", "stage_difference"] {
            #expect(try await installation.owner.query("SELECT FROM segmentation.\(unsafe: table)").isEmpty)
        }
    }
}
