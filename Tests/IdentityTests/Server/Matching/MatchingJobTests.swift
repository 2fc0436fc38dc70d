import IdentityDomain
import Models
import Postgres
import ServiceKit
import Streams
import TestSupport
import Testing

@testable import IdentityServer

@Suite(
    "Matching jobs", .enabled(if: TestDatabase.isAvailable, Comment(rawValue: TestDatabase.howToEnable)))
struct MatchingJobTests {
    @Test(
        "a job merges who is surely one person, names itself as the cause, and each merge can be taken back")
    func wholeJob() async throws {
        let people = MadeUpPeople(150, households: true, seed: 4)
        try await MatchingWorld.with(MatchingWorld.events(people)) { world in
            let job = try await world.match()
            #expect(job["state"] == "done")
            #expect(job["stage"] == .null)
            #expect(job[path: "counts.profiles"] == 300)
            #expect(job[path: "counts.comparedProfiles"] == 300)
            #expect(job[path: "counts.steps"] == job[path: "counts.stepsDone"])
            let merged = try #require(job[path: "counts.merged"]?.integer)
            let owners = try await world.owners(300)
            let quality = MatchQuality(Self.numbered(owners), people.truth)
            #expect(quality.precision > 0.97 && quality.recall > 0.6, "\(quality)")
            #expect(Set(owners).count == 300 - Int(merged))

            let automatic = try await world.proposals("automatic")
            #expect(automatic.count == Int(merged))
            let proposal = try #require(automatic.first)
            let merge = try await world.get("/v1/merges/\(proposal["mergeId"]?.string ?? "")")
            #expect(merge[path: "cause.kind"] == "matching")
            #expect(merge[path: "cause.proposalId"] == proposal["proposalId"])
            #expect(merge[path: "cause.jobId"] == job["jobId"])
            #expect(merge[path: "cause.decision"] == "automatic")
            let facts = try await world.database.timeline().map(\.body).filter { $0["kind"] == "merge" }
            #expect(facts.count == Int(merged))
            #expect(facts.allSatisfy { $0[path: "cause.kind"] == "matching" })

            let undone = try await world.service.request(
                "POST", "/v1/merges/\(merge["mergeId"]?.string ?? "")/undo", json: ["note": "they are two"])
            #expect(undone.status == 200)
            #expect(try await Set(world.owners(300)).count == 301 - Int(merged))

            // And a later job reports the evidence instead of merging them once more.
            let again = try await world.match()
            #expect(again["state"] == "done")
            #expect(again[path: "counts.withheld"]?.integer ?? 0 >= 1)
            let ends = merge["between"]?.array?.compactMap(\.string) ?? []
            let apart = try await [
                world.get("/v1/profiles/\(ends[0])"), world.get("/v1/profiles/\(ends[1])"),
            ]
            #expect(apart[0]["profileId"] != apart[1]["profileId"])
            let reported = try await world.get("/v1/merges?status=suppressed")
            #expect(reported[path: "items.0.mergeId"] == merge["mergeId"])
            #expect(reported[path: "items.0.suppressed.lastCause.kind"] == "matching")
        }
    }

    @Test("a rehearsal keeps together whom matching has joined, and says so of nobody whose merge was undone")
    func rehearsed() async throws {
        let people = MadeUpPeople(60, missing: 0, seed: 4)
        try await MatchingWorld.with(MatchingWorld.events(people)) { world in
            func rehearse() async throws -> JSON {
                let answer = try await world.service.request(
                    "POST", "/v1/identity-policy/rehearsal", body: Array(ShippedPolicy.source.utf8),
                    headers: ["Content-Type": "application/yaml"])
                #expect(answer.status == 200, "\(answer.text)")
                return answer.json
            }
            let before = try await rehearse()
            #expect(before[path: "people.now"] == 120 && before[path: "people.then"] == 120)
            let merged = try #require(try await world.match()[path: "counts.merged"]?.integer)
            #expect(merged > 20)
            let after = try await rehearse()
            #expect(after[path: "people.now"] == .integer(120 - merged))
            #expect(after[path: "people.then"] == .integer(120 - merged))
            #expect(after[path: "staying.people"] == .integer(120 - merged))
            #expect(after[path: "splitting.people"] == 0 && after[path: "merging.people"] == 0)
            let merge = try #require(try await world.proposals("automatic").first?["mergeId"]?.string)
            _ = try await world.service.request("POST", "/v1/merges/\(merge)/undo", json: ["note": "two"])
            let apart = try await rehearse()
            #expect(apart[path: "staying.people"] == .integer(121 - merged))
        }
    }

    private static func numbered(_ owners: [ProfileID]) -> [Int] {
        let places = Dictionary(owners.enumerated().map { ($1, $0) }, uniquingKeysWith: { first, _ in first })
        return owners.compactMap { places[$0] }
    }

    @Test("the same profiles give the same result")
    func determinism() async throws {
        let events = MatchingWorld.events(MadeUpPeople(120, households: true, seed: 9))
        var results: [[String]] = []
        for _ in 0..<2 {
            try await MatchingWorld.with(events) { world in
                try await world.match(["review": 0.05])
                let rows = try await world.database.owner.query(
                    """
                    SELECT left_id || ' ' || right_id || ' ' || state || ' ' || weight || ' ' || step || ' ' || explanation
                        AS text
                    FROM identity.matching_proposal ORDER BY step
                    """)
                results.append(try rows.map { try $0.get("text") })
            }
        }
        #expect(results[0].count > 50)
        #expect(results[0] == results[1])
    }

    @Test("a job of an instance that was killed is taken up where it was, once its lease has run out")
    func restart() async throws {
        let people = MadeUpPeople(330, missing: 0, seed: 5)
        try await MatchingWorld.with(MatchingWorld.events(people)) { world in
            let id = try await world.startJob()
            let first = world.instance()
            let job = try #require(try await first.claim())
            // Killed after it has found everything and carried some of it out.
            try await first.run(job, batches: 1)
            let half = try await world.get("/v1/matching/jobs/\(id)")
            #expect(half["state"] == "running")
            #expect(half["stage"] == "merging")
            #expect(half[path: "counts.stepsDone"] == 200)
            #expect(half[path: "counts.merged"]?.integer ?? 0 > 0)
            #expect(try await world.instance(ahead: .seconds(50)).claim() == nil)

            let second = world.instance(ahead: .seconds(61))
            let taken = try #require(try await second.claim())
            #expect(taken.id == job.id && taken.run == 2)
            try await second.run(taken)
            let done = try await world.get("/v1/matching/jobs/\(id)")
            #expect(done["state"] == "done")
            #expect(done[path: "counts.steps"] == done[path: "counts.stepsDone"])
            // The first one wakes up and finds that it is not its job any more.
            try await first.run(job)
            #expect(try await world.get("/v1/matching/jobs/\(id)") == done)
            let merges = try await world.database.owner.query("SELECT count(*) AS n FROM profiles.merge")
            #expect(try merges.first?.get("n", as: Int64.self) == done[path: "counts.merged"]?.integer)
            #expect(try await world.proposals("planned").isEmpty)
        }
    }

    @Test("killed before anything was found, it begins anew; after five times it is given up")
    func poison() async throws {
        try await MatchingWorld.with(MatchingWorld.events(MadeUpPeople(10))) { world in
            let id = try await world.startJob()
            for number in 0..<5 {
                #expect(try await world.instance(ahead: .seconds(61 * number)).claim()?.run == number + 1)
            }
            let last = world.instance(ahead: .seconds(61 * 5))
            let job = try #require(try await last.claim())
            try await last.run(job)
            let failed = try await world.get("/v1/matching/jobs/\(id)")
            #expect(failed["state"] == "failed")
            #expect(failed["error"]?.string?.contains("5 times") == true)
        }
    }

    @Test("of several instances one does a job, and jobs are done one after the other")
    func once() async throws {
        try await MatchingWorld.with(MatchingWorld.events(MadeUpPeople(40))) { world in
            let ids = [try await world.startJob(), try await world.startJob()]
            let claimed = try await withThrowingTaskGroup(of: MatchingJob?.self) { group in
                for _ in 0..<6 { group.addTask { try await world.instance().claim() } }
                var claimed: [MatchingJob] = []
                for try await case let job? in group { claimed.append(job) }
                return claimed
            }
            try #require(claimed.count == 1)
            try await world.instance().run(claimed[0])
            let next = try #require(try await world.instance().claim())
            #expect(Set([claimed[0], next].map(\.id.description)) == Set(ids))
            try await world.instance().run(next)
            #expect(try await world.instance().claim() == nil)
            // The second found everything done.
            #expect(try await world.get("/v1/matching/jobs/\(next.id)")[path: "counts.merged"] == 0)
        }
    }

    @Test("a cancelled job does nothing more, and what it has merged stays")
    func cancel() async throws {
        try await MatchingWorld.with(MatchingWorld.events(MadeUpPeople(330, missing: 0, seed: 5))) { world in
            let id = try await world.startJob()
            let runner = world.instance()
            let job = try #require(try await runner.claim())
            try await runner.run(job, batches: 1)
            let cancelled = try await world.service.request("POST", "/v1/matching/jobs/\(id)/cancel")
            #expect(cancelled.status == 200)
            #expect(cancelled.json["state"] == "cancelled")
            #expect(try await world.service.request("POST", "/v1/matching/jobs/\(id)/cancel").status == 200)
            try await runner.run(job)
            #expect(try await world.get("/v1/matching/jobs/\(id)") == cancelled.json)
            #expect(try await world.instance(ahead: .hours(1)).claim() == nil)
            let rows = try await world.database.owner.query(
                "SELECT count(*) AS n FROM identity.matching_proposal WHERE state = 'planned'")
            #expect(try rows.first?.get("n", as: Int.self) == 0)
            let done = try await world.match()
            #expect(
                try await world.service.request(
                    "POST", "/v1/matching/jobs/\(done["jobId"]?.string ?? "")/cancel"
                )
                .status == 409)
        }
    }

    @Test("somebody with hundreds of profiles becomes one person, with an edge less than there are profiles")
    func largeGroup() async throws {
        let others = MadeUpPeople(100, seed: 3)
        let traits: [String: JSON] = [
            "firstName": "Wilhelmina", "lastName": "Featherstone", "birthday": "1951-03-30",
            "city": "Nowhere",
            "postalCode": "9999", "phone": "0555123456",
        ]
        var events = MatchingWorld.events(others)
        for number in 200..<540 {
            var own = traits
            if number % 3 == 0 { own["phone"] = nil }
            if number % 5 == 0 { own["firstName"] = "Wilhelmine" }
            events.append(event(number, .identify, device: "d\(number)", traits: own))
        }
        try await MatchingWorld.with(events) { world in
            let job = try await world.match()
            #expect(job["state"] == "done")
            let owners = try await Array(world.owners(540)[200...])
            #expect(Set(owners).count == 1)
            let merges = try await world.database.owner.query(
                """
                SELECT m.merge_id FROM profiles.merge m JOIN profiles.profile p ON p.profile_id = m.merged_id
                WHERE p.canonical_id = \(owners[0]) ORDER BY m.ordinal
                """)
            #expect(merges.count == 339)
            #expect(try await world.match()[path: "counts.merged"] == 0)
            // One edge less parts the person in two, whichever it is.
            let id = try merges[merges.count / 2].get("merge_id", as: MergeID.self)
            let undone = try await world.service.request(
                "POST", "/v1/merges/\(id)/undo", json: ["note": "trying"])
            #expect(undone.status == 200, "\(undone.text)")
            #expect(try await Set(world.owners(540)[200...]).count == 2)
            let again = try await world.match()
            #expect(again[path: "counts.merged"] == 0)
            #expect(again[path: "counts.withheld"] == 1)
            #expect(try await world.proposals("pending").allSatisfy { $0["between"] != nil })
        }
    }

    @Test("more profiles than the settings allow fail the job with what to do")
    func tooMany() async throws {
        try await MatchingWorld.with(MatchingWorld.events(MadeUpPeople(20))) { world in
            let id = try await world.startJob()
            let runner = world.instance(mostProfiles: 10)
            let job = try #require(try await runner.claim())
            try await runner.run(job)
            let failed = try await world.get("/v1/matching/jobs/\(id)")
            #expect(failed["state"] == "failed")
            #expect(failed["error"]?.string?.contains("MARTLET_MATCHING_PROFILES") == true)
        }
    }

    @Test("nothing to compare is no failure, and profiles without any trait are passed over")
    func nothing() async throws {
        try await MatchingWorld.with([event(0, device: "a"), event(1, .identify, user: "b")]) { world in
            let job = try await world.match()
            #expect(job["state"] == "done")
            #expect(job[path: "counts.profiles"] == 2)
            #expect(job[path: "counts.comparedProfiles"] == 0)
        }
    }

    @Test("the worker takes up what is posted, and tells how it went")
    func worker() async throws {
        try await IdentityDatabase.with { database in
            try await database.publish(MatchingWorld.events(MadeUpPeople(60)))
            try await database.consumer(batch: 500).drain()
            try await ServiceHarness.with(
                identityService, database: database.database, clock: SimulatedClock(start + .hours(1))
            ) { service in
                let world = MatchingWorld(service: service, database: database)
                let id = try await world.startJob()
                var job = try await world.get("/v1/matching/jobs/\(id)")
                while job["state"] == "queued" || job["state"] == "running" {
                    job = try await world.get("/v1/matching/jobs/\(id)")
                }
                #expect(job["state"] == "done")
                #expect(job[path: "counts.merged"]?.integer ?? 0 > 20)
            }
        }
    }
}
