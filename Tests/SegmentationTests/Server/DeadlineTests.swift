import Models
import Postgres
import ServiceKit
import Streams
import TestSupport
import Testing

@testable import SegmentationServer

@Suite(
    "Deadlines of many, and of several instances",
    .enabled(if: TestDatabase.isAvailable, Comment(rawValue: TestDatabase.howToEnable)))
struct DeadlineTests {
    private let start = Installation.start

    /// What another instance has: nothing in memory of what the first has seen.
    private func instance(of installation: Installation, settle: Duration = .zero) -> DeadlineWorker {
        let context = installation.harness.context
        return DeadlineWorker(
            pool: context.pool, registry: SegmentRegistry(vault: context.vault),
            history: HistoryWatch(settle: settle, pool: context.pool), logger: context.logger)
    }

    /// Lets so many people view something at once, which the segment `recent` forgets an hour later.
    private func viewers(_ count: Int, in installation: Installation) async throws -> [ProfileID] {
        try await installation.put("recent", ["count": ["event": "View", "within": "1h"]])
        let people = (0..<count).map { Installation.profile("viewer \($0)") }
        try await installation.know(people)
        try await installation.append(
            people.map {
                .event(profileID: $0, arrivedUnder: $0, event: Installation.track("View", at: start))
            })
        try await installation.drain()
        return people
    }

    @Test(
        "two instances share those of many at one instant: each is fired once, with the instant as its time")
    func sharing() async throws {
        try await Installation.with { installation in
            let people = try await viewers(1_300, in: installation)
            #expect(try await installation.members("recent").count == people.count)
            installation.clock.advance(by: .hours(2))
            let now = installation.clock.now
            let workers = [instance(of: installation), instance(of: installation)]
            let fired = try await withThrowingTaskGroup(of: Int.self) { group in
                for worker in workers { group.addTask { try await worker.fire(now) } }
                return try await group.reduce(0, +)
            }
            #expect(fired >= people.count)
            // One may have found the last of them in the other's hands.
            try await installation.sweep()
            #expect(try await installation.members("recent").isEmpty)
            let exits = try await installation.changes(of: "recent").filter { $0.change == .exited }
            #expect(exits.count == people.count)
            #expect(Set(exits.map(\.profileID)) == Set(people))
            #expect(Set(exits.map(\.at)) == [start + .hours(1)])
            #expect(try await installation.owner.query("SELECT FROM segmentation.deadline").isEmpty)
        }
    }

    @Test("of many within one minute each fires as of its own instant, while events go on being taken")
    func oneMinute() async throws {
        try await Installation.with { installation in
            try await installation.put("recent", ["count": ["event": "View", "within": "1h"]])
            try await installation.put("new", ["count": ["event": "Sign Up"]])
            let people = (0..<2_400).map { Installation.profile("viewer \($0)") }
            try await installation.know(people)
            try await installation.append(
                people.enumerated().map { number, person in
                    let view = Installation.track("View", at: start + .milliseconds(number * 25))
                    return .event(profileID: person, arrivedUnder: person, event: view)
                })
            try await installation.drain()
            installation.clock.set(start + .minutes(61))
            let now = installation.clock.now
            let worker = instance(of: installation)
            async let fired = worker.fire(now)
            // Some of them do something at that time, and others come new.
            for number in 0..<20 {
                let (old, new) = (people[number * 100], Installation.profile("new \(number)"))
                try await installation.append([Installation.track("Sign Up", at: now)], to: new)
                try await installation.append([Installation.track("Sign Up", at: now)], to: old)
                try await installation.drain()
                #expect(try await installation.members("new").count == number * 2 + 2)
            }
            #expect(try await fired <= people.count)
            try await installation.sweep()
            #expect(try await installation.members("recent").isEmpty)
            let exits = try await installation.changes(of: "recent").filter { $0.change == .exited }
            #expect(exits.count == people.count)
            let at = Dictionary(exits.map { ($0.profileID, $0.at) }, uniquingKeysWith: { $1 })
            for (number, person) in people.enumerated() {
                #expect(at[person] == start + .hours(1) + .milliseconds(number * 25))
            }
        }
    }

    @Test("whose state somebody else holds keeps nobody waiting, and is fired afterwards")
    func heldStates() async throws {
        try await Installation.with { installation in
            let people = try await viewers(20, in: installation)
            installation.clock.advance(by: .hours(2))
            let worker = instance(of: installation)
            let (now, held) = (installation.clock.now, people[7])
            try await installation.owner.transaction { transaction in
                _ = try await transaction.query(
                    """
                    SELECT FROM segmentation.profile_state
                    WHERE shard = \(Shard(held)) AND profile_id = \(held) FOR UPDATE
                    """)
                #expect(try await worker.fire(now) == people.count - 1)
                #expect(try await worker.fire(now) == 0)
            }
            #expect(try await installation.members("recent") == [held])
            #expect(try await worker.fire(now) == 1)
            #expect(try await installation.members("recent").isEmpty)
        }
    }

    @Test(
        "a state that does not read keeps none of the many beside it waiting; it is tried again, and fires as of its instant"
    )
    func unreadable() async throws {
        try await Installation.with { installation in
            let people = try await viewers(600, in: installation)
            let broken = people[7]
            let row: SQL = "shard = \(Shard(broken)) AND profile_id = \(broken)"
            let state: String = try #require(
                try await installation.owner.query(
                    "SELECT state FROM segmentation.profile_state WHERE \(row)"
                ).first?.get("state"))
            try await installation.owner.execute(
                "UPDATE segmentation.profile_state SET state = 'no state' WHERE \(row)")
            installation.clock.advance(by: .hours(2))
            try await installation.sweep()
            #expect(try await installation.members("recent") == [broken])
            #expect(try await attempts(of: broken, in: installation) == 1)
            // Not before a second is over, and then after two more.
            #expect(try await installation.sweep() == 0)
            installation.clock.advance(by: .seconds(1))
            try await installation.sweep()
            installation.clock.advance(by: .seconds(1))
            #expect(try await installation.sweep() == 0)
            #expect(try await attempts(of: broken, in: installation) == 2)

            // What a deadline has yet to change for it, a changed rule must not be put into force over.
            try await installation.owner.execute(
                "UPDATE segmentation.profile_state SET state = \(state) WHERE \(row)")
            try await installation.put("recent", ["count": ["event": "View", "within": "30h"]])
            try await installation.backfill()
            #expect(try await version(of: "recent", in: installation) == 1)
            installation.clock.advance(by: .seconds(1))
            try await installation.sweep()
            let exits = try await installation.changes(of: "recent").filter { $0.change == .exited }
            #expect(exits.count == people.count && Set(exits.map(\.at)) == [start + .hours(1)])
            try await installation.backfill()
            #expect(try await version(of: "recent", in: installation) == 2)
            #expect(try await installation.members("recent") == Set(people))
        }
    }

    @Test(
        "a changed rule comes into force without somebody whose state does not read, and they follow when it does"
    )
    func switchingWithout() async throws {
        try await Installation.with { installation in
            let people = try await viewers(20, in: installation)
            let broken = people[7]
            let row: SQL = "shard = \(Shard(broken)) AND profile_id = \(broken)"
            let state: String = try #require(
                try await installation.owner.query(
                    "SELECT state FROM segmentation.profile_state WHERE \(row)"
                ).first?.get("state"))
            try await installation.owner.execute(
                "UPDATE segmentation.profile_state SET state = 'no state' WHERE \(row)")
            installation.clock.advance(by: .hours(2))
            try await installation.sweep()
            try await installation.put("recent", ["count": ["event": "View", "within": "30h"]])
            try await installation.put("seen", ["count": ["event": "View"]])
            try await installation.backfill()
            #expect(try await version(of: "recent", in: installation) == 1, "it may read in a moment")
            for _ in 0..<2 {
                installation.clock.advance(by: .seconds(5))
                try await installation.sweep()
            }
            #expect(try await attempts(of: broken, in: installation) == 3)
            try await installation.backfill()
            #expect(try await version(of: "recent", in: installation) == 2)
            #expect(try await installation.members("recent") == Set(people))
            #expect(try await installation.members("seen") == Set(people).subtracting([broken]))

            try await installation.owner.execute(
                "UPDATE segmentation.profile_state SET state = \(state) WHERE \(row)")
            installation.clock.advance(by: .minutes(2))
            try await installation.backfill()
            try await installation.sweep()
            #expect(try await installation.members("seen") == Set(people))
            #expect(try await installation.members("recent") == Set(people))
            #expect(try await installation.owner.query("SELECT FROM segmentation.left_behind").isEmpty)
            installation.clock.set(start + .hours(31))
            try await installation.sweep()
            #expect(try await installation.members("recent").isEmpty)
            let last = try await installation.changes(of: "recent").last { $0.profileID == broken }
            #expect(last?.change == .exited && last?.at == start + .hours(30))
        }
    }

    @Test(
        "where nobody's state reads, which is hardly the fault of each, all are tried again soon, however often"
    )
    func noneReads() async throws {
        try await Installation.with { installation in
            let people = try await viewers(3, in: installation)
            try await installation.owner.execute(
                "CREATE TABLE public.kept AS SELECT shard, profile_id, state FROM segmentation.profile_state")
            try await installation.owner.execute("UPDATE segmentation.profile_state SET state = 'no state'")
            installation.clock.advance(by: .hours(2))
            for _ in 0..<8 {
                try await installation.sweep()
                installation.clock.advance(by: .seconds(5))
            }
            #expect(try await attempts(of: people[0], in: installation) == 8)
            try await installation.owner.execute(
                """
                UPDATE segmentation.profile_state s SET state = k.state FROM public.kept k
                WHERE k.shard = s.shard AND k.profile_id = s.profile_id
                """)
            try await installation.sweep()
            #expect(try await installation.members("recent").isEmpty)
        }
    }

    @Test("rules that this instance cannot read put no deadline off")
    func unreadableRule() async throws {
        try await Installation.with { installation in
            let people = try await viewers(3, in: installation)
            installation.clock.advance(by: .hours(2))
            let rule: JSON = ["count": ["event": "View", "within": "1h"]]
            try await installation.owner.execute(
                "UPDATE segmentation.segment SET rule = '{}', revision = revision + 1")
            try await installation.owner.execute(
                "UPDATE segmentation.segment_set SET revision = revision + 1")
            await #expect(throws: RetryLater.self) { try await installation.sweep() }
            #expect(try await attempts(of: people[0], in: installation) == 0)
            try await installation.owner.execute("UPDATE segmentation.segment SET rule = \(rule)")
            try await installation.sweep()
            #expect(try await installation.members("recent").isEmpty)
        }
    }

    private func attempts(of profile: ProfileID, in installation: Installation) async throws -> Int? {
        try await installation.owner.query(
            "SELECT attempts FROM segmentation.deadline WHERE profile_id = \(profile)"
        ).first?.get("attempts")
    }

    private func version(of segment: String, in installation: Installation) async throws -> JSON? {
        try await installation.harness.request("GET", "/v1/segments/\(segment)").json["version"]
    }

    @Test(
        "while one instance reads history in, no other fires what was due back then; what is due now fires at once"
    )
    func history() async throws {
        try await Installation.with(settle: "1h") { installation in
            let (anna, bert) = (Installation.profile("anna"), Installation.profile("bert"))
            try await installation.put("recent", ["count": ["event": "View", "within": "1h"]])
            let old = (0..<3).map {
                Installation.track("View", at: start - .days(10), id: "old-\($0)")
            }
            try await installation.append(old, to: anna)
            try await installation.drain()
            try await installation.append([Installation.track("View", at: start)], to: bert)
            try await installation.drain()
            installation.clock.advance(by: .hours(1))
            let now = installation.clock.now
            let other = instance(of: installation, settle: .hours(1))
            #expect(try await other.history.isReading())
            #expect(try await other.fire(now) == 1)
            #expect(try await installation.members("recent") == [anna])
            // A fact of back then is not late.
            try await installation.append(
                [Installation.track("View", at: start - .days(10) + .minutes(30), id: "next")], to: anna)
            try await installation.drain()
            try await installation.owner.execute(
                "UPDATE segmentation.history_watch SET seen_at = seen_at - interval '2 hours'")
            #expect(try await !other.history.isReading())
            #expect(try await other.fire(now) == 1)
            let exit = try #require(
                try await installation.changes(of: "recent").last { $0.profileID == anna })
            #expect(exit.change == .exited)
            #expect(exit.at == start - .days(10) + .minutes(90))
        }
    }

    @Test("facts of the present are no history")
    func present() async throws {
        try await Installation.with(settle: "1h") { installation in
            _ = try await viewers(3, in: installation)
            #expect(try await !instance(of: installation, settle: .hours(1)).history.isReading())
        }
    }
}
