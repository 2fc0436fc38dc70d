import IdentityDomain
import Models
import Postgres
import ServiceKit
import Streams
import TestSupport
import Testing

@testable import IdentityServer

@Suite(
    "What becomes of records in matching jobs",
    .enabled(if: TestDatabase.isAvailable, Comment(rawValue: TestDatabase.howToEnable)))
struct MatchingRecordFateTests {
    /// Of each person the even record is a profile, and the odd one is brought.
    private static let people = MadeUpPeople(120, missing: 0, seed: 11)
    private static let events = stride(from: 0, to: 240, by: 2).map { MatchingWorld.events(people)[$0] }
    private static let records = stride(from: 1, to: 240, by: 2).map { MatchingWorld.record(people, $0) }

    /// Somebody whom nobody is like.
    private static let wilhelmina: [String: JSON] = [
        "firstName": "Wilhelmina", "lastName": "Featherstone", "birthday": "1951-03-30", "city": "Nowhere",
        "postalCode": "9999", "phone": "+41791234567",
    ]

    private func wilhelmina(_ id: String, _ more: [String: JSON] = [:]) -> JSON {
        ["id": .string(id), "traits": .object(Self.wilhelmina.merging(more) { $1 })]
    }

    private func stored(_ sql: SQL, in world: MatchingWorld) async throws -> Int {
        try await world.database.owner.query(sql).first?.get("n") ?? -1
    }

    @Test("a job with records that was killed is taken up where it was, and links each record once")
    func killed() async throws {
        let people = MadeUpPeople(300, missing: 0, seed: 12)
        let all = MatchingWorld.events(people)
        let records = stride(from: 1, to: 600, by: 2).map { MatchingWorld.record(people, $0) }
        try await MatchingWorld.with(stride(from: 0, to: 600, by: 2).map { all[$0] }) { world in
            let id = try await world.startJob(with: records, ["merge": 0.8]).json["jobId"]?.string ?? ""
            let first = world.instance()
            let job = try #require(try await first.claim())
            try await first.run(job, batches: 1)
            let half = try await world.get("/v1/matching/jobs/\(id)")
            #expect(half[path: "counts.stepsDone"] == 200)
            #expect(half[path: "counts.linked"]?.integer ?? 0 > 150)
            let second = world.instance(ahead: .seconds(61))
            let taken = try #require(try await second.claim())
            try await second.run(taken)
            try await first.run(job)
            let done = try await world.get("/v1/matching/jobs/\(id)")
            #expect(done["state"] == "done")
            #expect(done[path: "counts.steps"] == done[path: "counts.stepsDone"])
            let linked = done[path: "counts.linked"]?.integer ?? 0
            let merges: SQL = "SELECT count(*) AS n FROM profiles.merge WHERE cause->>'kind' = 'matching'"
            #expect(try await stored(merges, in: world) == Int(linked))
            let messages = try await world.database.timeline().compactMap {
                $0.body[path: "event.messageId"]?.string
            }.filter { $0.hasPrefix("matching:") && !$0.hasSuffix(":traits") }
            #expect(Set(messages).count == messages.count && messages.count == Int(linked))
            #expect(try await world.rows(done, "linked").count == Int(linked))
        }
    }

    @Test(
        "a cancelled job leaves nothing of its records but their ids, and old ones are dropped with their questions"
    )
    func retention() async throws {
        let events = Self.events + [event(500, .identify, device: "w", traits: Self.wilhelmina)]
        let bodies: SQL = "SELECT count(*) AS n FROM identity.matching_record WHERE body IS NOT NULL"
        try await MatchingWorld.with(events) { world in
            let waiting = try await world.startJob(with: Self.records).json
            #expect(try await stored(bodies, in: world) == 120)
            let path = "/v1/matching/jobs/\(waiting["jobId"]?.string ?? "")/cancel"
            #expect(try await world.service.request("POST", path).status == 200)
            #expect(try await stored(bodies, in: world) == 0)
            #expect(try await world.rows(waiting, "unmatched").count == 120)

            let job = try await world.bring([wilhelmina("w1")], automatic: false)
            #expect(try await stored(bodies, in: world) == 1)
            let clock = SimulatedClock(start + .hours(1))
            let pruner = MatchingRecordPruner(
                pool: world.database.pool, kept: .days(30), clock: clock.serviceClock,
                logger: world.service.context.logger)
            #expect(try await pruner.prune() == 0)
            #expect(try await world.proposals("pending").contains { $0["records"] != nil })
            let later = MatchingRecordPruner(
                pool: world.database.pool, kept: .days(30),
                clock: SimulatedClock(start + .days(31)).serviceClock, logger: world.service.context.logger)
            #expect(try await later.prune() == 121)
            #expect(try await world.rows(job).isEmpty)
            #expect(try await world.proposals("pending").allSatisfy { $0["records"] == nil })
        }
    }

    @Test("an erasure takes records away that carry an identifier of the person, or may be theirs")
    func erasure() async throws {
        let events =
            Self.events + [
                event(500, .identify, device: "w", traits: Self.wilhelmina),
                event(501, .identify, user: "u", email: "gone@x.org", traits: ["lastName": "Gone"]),
            ]
        try await MatchingWorld.with(events) { world in
            let asked = try await world.bring([wilhelmina("w1")], automatic: false)
            let byAddress: JSON = ["id": "g1", "traits": ["lastName": "Someone", "email": "gone@x.org"]]
            let another: JSON = ["id": "g2", "traits": ["lastName": "Someone", "email": "stays@x.org"]]
            let waiting = try await world.startJob(with: [byAddress, another]).json
            let user = try await world.found("userId", "u")["profileId"]?.string ?? ""
            let told = try await MatchingRecordStore.told(
                of: [try #require(ProfileID(user))], in: world.database.pool)
            #expect(told.array?.count == 1 && told[path: "0.row"] == 1)
            #expect(!told.compact.contains("g1") && !told.compact.contains("Someone"))
            try await world.erase(user)
            #expect(try await world.rows(waiting).map { $0["state"] } == ["erased", "waiting"])
            #expect(try await world.rows(waiting)[0]["id"] == .null)

            try await world.erase(try await world.found("anonymousId", "w")["profileId"]?.string ?? "")
            #expect(try await world.rows(asked).map { $0["state"] } == ["erased"])
            #expect(try await world.proposals("pending").allSatisfy { $0["records"] == nil })
            let runner = world.instance()
            let job = try #require(try await runner.claim())
            try await runner.run(job)
            #expect(try await world.get("/v1/matching/jobs/\(job.id)")["state"] == "done")
            #expect(try await world.rows(waiting).map { $0["state"] } == ["erased", "unmatched"])
            let left: SQL = """
                SELECT count(*) AS n FROM identity.matching_record
                WHERE body IS NOT NULL OR (name IS NULL) <> (hash IS NULL)
                """
            #expect(try await stored(left, in: world) == 0)
        }
    }

    @Test("erased between finding and linking, nothing is made of the record")
    func erasedBetween() async throws {
        let events = Self.events + [event(500, .identify, user: "w", traits: Self.wilhelmina)]
        try await MatchingWorld.with(events) { world in
            _ = try await world.startJob(with: [wilhelmina("w1")])
            let runner = world.instance()
            let job = try #require(try await runner.claim())
            try await runner.run(job, batches: 0)
            #expect(
                try await stored(
                    "SELECT count(*) AS n FROM identity.matching_proposal WHERE right_hash IS NOT NULL",
                    in: world)
                    == 1)
            try await world.erase(try await world.found("userId", "w")["profileId"]?.string ?? "")
            #expect(
                try await stored(
                    "SELECT count(*) AS n FROM identity.matching_proposal WHERE right_hash IS NOT NULL",
                    in: world)
                    == 0)
            try await runner.run(job)
            #expect(try await world.found("crm:contact", "w1")["profileId"] == nil)
        }
    }
}
