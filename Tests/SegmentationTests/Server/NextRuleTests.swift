import Foundation
import Models
import Postgres
import SegmentationDomain
import ServiceKit
import TestSupport
import Testing

@testable import SegmentationServer

@Suite(
    "A changed rule, from when it is stored until everybody has been told",
    .enabled(if: TestDatabase.isAvailable, Comment(rawValue: TestDatabase.howToEnable)))
struct NextRuleTests {
    private let start = Installation.start
    private let once: JSON = ["count": ["event": "A", "within": "10h"]]
    private let twice: JSON = ["count": ["event": "A", "atLeast": 2, "within": "10h"]]

    private func people(_ count: Int) -> [ProfileID] { (0..<count).map { Installation.profile("p\($0)") } }

    /// People of whom each has done A so many times, one after the other a minute later.
    private func populate(_ installation: Installation, _ counts: [Int]) async throws -> [ProfileID] {
        let people = people(counts.count)
        for (index, person) in people.enumerated() {
            try await installation.append(
                (0..<counts[index]).map { Installation.track("A", at: start + .minutes(index + $0)) },
                to: person)
        }
        installation.clock.advance(by: .hours(1))
        try await installation.drain()
        return people
    }

    /// Brings every shard to the rules, without what comes then.
    private func decideAll(_ installation: Installation) async throws {
        let worker = try installation.worker(BackfillWorker.self)
        for _ in 0..<Shard.count { #expect(try await worker.step()) }
    }

    private func differences(_ installation: Installation) async throws -> Int {
        try await installation.owner.query("SELECT FROM segmentation.membership_difference").count
    }

    private func segment(_ id: String, _ installation: Installation) async throws -> JSON {
        try await installation.harness.request("GET", "/v1/segments/\(id)").json
    }

    private func why(_ id: String, _ person: ProfileID, _ installation: Installation) async throws -> JSON {
        try await installation.harness.request("GET", "/v1/segments/\(id)/members/\(person)/why").json
    }

    @Test("it takes the place of the one in force for everybody at once, and only differences are told")
    func atOnce() async throws {
        try await Installation.with { installation in
            try await installation.put("busy", once)
            // All have done A, a quarter of them twice.
            let people = try await populate(installation, (0..<40).map { $0 % 4 == 0 ? 2 : 1 })
            #expect(try await installation.members("busy").count == 40)

            let put = try await installation.put("busy", twice)
            #expect(put.json["status"] == "backfilling" && put.json["version"] == 1)
            // Shard by shard; until the last nobody leaves, and the rule in force goes on deciding.
            let worker = try installation.worker(BackfillWorker.self)
            let late = Installation.profile("late")
            try await installation.append([Installation.track("A", at: start + .hours(1))], to: late)
            for _ in 0..<Shard.count {
                #expect(try await worker.step())
                #expect(try await installation.members("busy").count == 40)
            }
            try await installation.drain()
            #expect(try await installation.members("busy").count == 41)
            #expect(try await differences(installation) == 31)
            #expect(try await installation.changes(of: "busy").allSatisfy { $0.change == .entered })
            let before = try await why("busy", late, installation)
            #expect(before["version"] == 1 && before["member"] == true)

            installation.clock.advance(by: .minutes(5))
            let switched = installation.clock.now
            // One step more, and it is so for all, though nobody has been told yet.
            #expect(try await worker.step())
            let after = Set(people.enumerated().filter { $0.offset % 4 == 0 }.map(\.element))
            #expect(try await installation.members("busy") == after)
            #expect(try await installation.changes(of: "busy").allSatisfy { $0.change == .entered })
            let left = try await why("busy", late, installation)
            #expect(left["version"] == 2 && left["member"] == false)
            #expect(left["whyNot"] != .null && left["conditions"] != .null, "\(left.compact)")
            #expect(try await segment("busy", installation)["version"] == 2)

            installation.clock.advance(by: .minutes(5))
            try await installation.backfill()
            #expect(try await installation.members("busy") == after)
            let told = try await installation.changes(of: "busy").filter { $0.reason == .definition }
            #expect(told.count == 31)
            #expect(told.allSatisfy { $0.change == .exited && $0.at == switched && $0.version == 2 })
            let live = try await segment("busy", installation)
            #expect(live["status"] == "live" && live["version"] == 2 && live["next"] == .null)
            #expect(try await differences(installation) == 0)

            // Those who stay are in it since when they entered, and leave when the new rule says.
            let stayed = try #require(after.first)
            let index = try #require(people.firstIndex(of: stayed))
            let since = try await installation.harness.request("GET", "/v1/profiles/\(stayed)/segments")
            #expect(
                since.json["items"]?.array?.first?["enteredAt"]?.string == (start + .minutes(index)).rfc3339)
            installation.clock.advance(by: .hours(12))
            try await installation.sweep()
            #expect(
                try await installation.story(of: "busy", stayed).last
                    == "exited time \(Duration.minutes(index + 600).milliseconds)")
            let history = try await installation.harness.request("GET", "/v1/segments/busy/history")
            #expect(history.json["items"]?.array?.last?["size"] == 0)
        }
    }

    @Test("who enters by it is a member with evidence from that moment on, and is told once")
    func entering() async throws {
        try await Installation.with { installation in
            try await installation.put("busy", twice)
            let people = try await populate(installation, [2, 1, 1])
            try await installation.put("busy", once)
            try await decideAll(installation)
            #expect(try await installation.members("busy") == [people[0]])
            let switched = installation.clock.now
            #expect(try await installation.worker(BackfillWorker.self).step())
            #expect(try await installation.members("busy") == Set(people))
            #expect(try await installation.changes(of: "busy").count == 1)
            let untold = try await why("busy", people[1], installation)
            #expect(untold["member"] == true && untold["enteredAt"]?.string == switched.rfc3339)
            #expect(untold[path: "evidence.cause.kind"] == "definition")
            let snapshot = try await installation.harness.request("POST", "/v1/segments/busy/snapshot")
            #expect(snapshot.json["members"] == 3)

            installation.clock.advance(by: .hours(1))
            try await installation.backfill()
            let told = try await why("busy", people[1], installation)
            #expect(told["evidence"] == untold["evidence"] && told["enteredAt"] == untold["enteredAt"])
            let changes = try await installation.changes(of: "busy").filter { $0.reason == .definition }
            #expect(Set(changes.map(\.profileID)) == Set(people.dropFirst()) && changes.count == 2)
            #expect(changes.allSatisfy { $0.change == .entered && $0.at == switched })
        }
    }

    @Test("segments that look at it keep to the old rule until then, and change at the same moment")
    func dependents() async throws {
        try await Installation.with { installation in
            try await installation.put("busy", once)
            try await installation.put("idle", ["not": ["segment": "busy"]])
            try await installation.put(
                "seen", ["all": [["segment": "busy"], ["count": ["event": "A", "within": "20h"]]]])
            let people = try await populate(installation, [2, 1, 1])
            try await installation.put("busy", twice)
            try await decideAll(installation)
            #expect(try await installation.members("idle") == [])
            #expect(try await installation.members("seen") == Set(people))
            // Not before the last of them is decided by what it will see.
            let late = try await installation.put("seen", ["segment": "busy"])
            #expect(late.json[path: "next.version"] == 2)
            for _ in 0..<20 { #expect(try await installation.worker(BackfillWorker.self).step()) }
            #expect(try await installation.members("busy") == Set(people))
            // Taken back, so everybody is decided anew by what it was.
            try await installation.put(
                "seen", ["all": [["segment": "busy"], ["count": ["event": "A", "within": "20h"]]]])
            try await decideAll(installation)
            let switched = installation.clock.now
            #expect(try await installation.members("busy") == Set(people))
            #expect(try await installation.worker(BackfillWorker.self).step())
            for id in ["busy", "seen"] { #expect(try await installation.members(id) == [people[0]]) }
            #expect(try await installation.members("idle") == Set(people.dropFirst()))
            #expect(try await installation.changes().allSatisfy { $0.reason == .event })
            installation.clock.advance(by: .minutes(1))
            try await installation.backfill()
            let told = try await installation.changes().filter { $0.reason == .definition }
            #expect(told.count == 6)
            #expect(
                told.allSatisfy { $0.at == switched && ($0.change == .entered) == ($0.segment == "idle") })
            #expect(try await segment("idle", installation)["version"] == 1)
            #expect(try await differences(installation) == 0)
        }
    }

    @Test("one that is changed, taken back or deleted before its time leaves nothing behind")
    func takenBack() async throws {
        try await Installation.with { installation in
            let first: JSON = ["count": ["event": "A"]]
            try await installation.put("some", first)
            _ = try await populate(installation, [1, 2, 3, 4, 5])
            let worker = try installation.worker(BackfillWorker.self)
            try await installation.put("some", ["count": ["event": "A", "atLeast": 2]])
            for _ in 0..<40 { #expect(try await worker.step()) }
            // Another, before the first was everywhere.
            let second = try await installation.put("some", ["count": ["event": "A", "atLeast": 4]])
            #expect(second.json[path: "next.version"] == 3)
            for _ in 0..<40 { #expect(try await worker.step()) }
            let back = try await installation.put("some", first)
            #expect(back.json["next"] == .null && back.json["version"] == 1)
            try await installation.backfill()
            #expect(try await installation.members("some").count == 5)
            #expect(try await installation.changes(of: "some").count == 5)
            #expect(try await differences(installation) == 0)

            try await installation.put("some", ["count": ["event": "A", "atLeast": 5]])
            for _ in 0..<40 { #expect(try await worker.step()) }
            #expect(try await installation.harness.request("DELETE", "/v1/segments/some").status == 204)
            try await installation.backfill()
            #expect(try await installation.members("some").isEmpty)
            #expect(try await differences(installation) == 0)
        }
    }

    @Test("a segment that is deleted and made again before anybody was told has only whom its own rule has")
    func madeAgain() async throws {
        try await Installation.with { installation in
            try await installation.put("busy", once)
            let people = try await populate(installation, [1, 2, 3])
            try await installation.put("busy", twice)
            try await decideAll(installation)
            #expect(try await installation.worker(BackfillWorker.self).step())
            #expect(try await installation.members("busy") == [people[1], people[2]])
            #expect(try await installation.harness.request("DELETE", "/v1/segments/busy").status == 204)
            try await installation.put("busy", ["count": ["event": "A", "atMost": 2, "within": "10h"]])
            try await installation.backfill()
            #expect(try await installation.members("busy") == [people[0], people[1]])
            for (person, last) in zip(people, ["entered", "entered", "exited"]) {
                let story = try await installation.changes(of: "busy").filter { $0.profileID == person }
                #expect(story.last?.change.rawValue == last)
                #expect(zip(story, story.dropFirst()).allSatisfy { $0.change != $1.change })
            }
        }
    }

    @Test("it waits for deadlines that are due, so that nobody is put in who has left by then")
    func deadlinesFirst() async throws {
        try await Installation.with { installation in
            try await installation.put("busy", once)
            let people = try await populate(installation, [1, 2])
            try await installation.put("busy", twice)
            try await decideAll(installation)
            installation.clock.advance(by: .hours(24))
            #expect(try await installation.worker(BackfillWorker.self).step() == false)
            #expect(try await installation.members("busy") == Set(people))
            #expect(try await segment("busy", installation)["version"] == 1)
            try await installation.sweep()
            #expect(try await installation.worker(BackfillWorker.self).step())
            try await installation.backfill()
            #expect(try await installation.members("busy") == [])
            #expect(try await installation.changes(of: "busy").allSatisfy { $0.reason != .definition })
            // What is just firing is not waited for.
            try await installation.append(
                [Installation.track("A", at: installation.clock.now)], to: people[0])
            try await installation.drain()
            try await installation.put("busy", ["count": ["event": "A", "within": "1h"]])
            try await decideAll(installation)
            installation.clock.advance(by: .hours(1) + .seconds(5))
            #expect(try await installation.worker(BackfillWorker.self).step())
            #expect(try await installation.members("busy") == [people[0]])
            try await installation.backfill()
            try await installation.sweep()
            #expect(try await installation.members("busy") == [])
            let story = try await installation.changes(of: "busy").filter { $0.profileID == people[0] }
            #expect(
                story.suffix(2).map { "\($0.change) \($0.reason)" } == ["entered definition", "exited time"])
        }
    }

    @Test("a switch that fails on the way has changed nothing, and is made again")
    func failing() async throws {
        try await Installation.with { installation in
            try await installation.put("busy", once)
            try await installation.put("idle", ["not": ["segment": "busy"]])
            let people = try await populate(installation, [1, 2])
            try await installation.put("busy", twice)
            try await decideAll(installation)
            // The rows that leave are gone by then, and those that enter cannot be written.
            try await installation.owner.execute(
                """
                CREATE FUNCTION profiles.refuse() RETURNS trigger LANGUAGE plpgsql AS
                $$ BEGIN RAISE EXCEPTION 'no'; END $$
                """)
            try await installation.owner.execute(
                """
                CREATE TRIGGER refuse BEFORE INSERT ON profiles.membership
                FOR EACH ROW EXECUTE FUNCTION profiles.refuse()
                """)
            await #expect(throws: (any Error).self) {
                try await installation.worker(BackfillWorker.self).step()
            }
            #expect(try await installation.members("busy") == Set(people))
            #expect(try await segment("busy", installation)["version"] == 1)
            try await installation.owner.execute("DROP TRIGGER refuse ON profiles.membership")
            try await installation.backfill()
            #expect(try await installation.members("busy") == [people[1]])
            #expect(try await installation.members("idle") == [people[0]])
        }
    }

    @Test("people who are merged or erased on the way leave no differences behind")
    func mergedAndErased() async throws {
        try await Installation.with { installation in
            try await installation.put("busy", once)
            let people = try await populate(installation, [1, 1, 1, 1])
            try await installation.put("busy", twice)
            for _ in 0..<30 { #expect(try await installation.worker(BackfillWorker.self).step()) }
            try await installation.merge(people[0], into: people[1])
            try await installation.append([.erased(profileID: people[2], at: start + .hours(1))])
            try await installation.drain()
            try await installation.backfill()
            #expect(try await installation.members("busy") == [people[1]])
            #expect(try await differences(installation) == 0)
            let left = try await installation.changes(of: "busy").filter { $0.reason == .definition }
            #expect(left.map(\.profileID) == [people[3]])
        }
    }

    @Test("rules that would lead back to each other once they are in force are refused")
    func circle() async throws {
        try await Installation.with { installation in
            let harness = installation.harness
            _ = try await populate(installation, [1])
            try await installation.put("one", once)
            try await installation.put("two", twice)
            try await installation.put("one", ["segment": "two"])
            let circle = try await harness.request(
                "PUT", "/v1/segments/two", json: ["rule": ["segment": "one"]])
            #expect(circle.status == 400)
            #expect(try await harness.request("DELETE", "/v1/segments/two").status == 409)
            // A rule that will not look at it any more is no circle.
            try await installation.backfill()
            try await installation.put("one", once)
            try await installation.put("two", ["segment": "one"])
            // But then the first cannot be taken back.
            let back = try await harness.request(
                "PUT", "/v1/segments/one", json: ["rule": ["segment": "two"]])
            #expect(back.status == 400)
            try await installation.backfill()
            #expect(try await installation.members("two") == installation.members("one"))
        }
    }
}
