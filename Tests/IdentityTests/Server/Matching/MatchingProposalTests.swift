import IdentityDomain
import Models
import Postgres
import ServiceKit
import TestSupport
import Testing

@testable import IdentityServer

@Suite(
    "Proposals of matching",
    .enabled(if: TestDatabase.isAvailable, Comment(rawValue: TestDatabase.howToEnable)))
struct MatchingProposalTests {
    private static let people = MadeUpPeople(120, households: true, seed: 6)
    private static let events = MatchingWorld.events(people)

    @Test("the middle band waits, the most likely first, page by page and from a score on")
    func list() async throws {
        try await MatchingWorld.with(Self.events) { world in
            let job = try await world.match(["review": 0.01])
            let pending = try await world.proposals("pending")
            #expect(pending.count == Int(job[path: "counts.proposed"]?.integer ?? 0))
            #expect(pending.count > 4)
            let scores = pending.compactMap { $0["score"]?.number }
            #expect(scores == scores.sorted(by: >))
            #expect(scores.allSatisfy { $0 >= 0.01 && $0 < 0.98 })
            var paged: [JSON] = []
            var cursor = ""
            while true {
                let page = try await world.get("/v1/matching/proposals?limit=3\(cursor)")
                paged += page["items"]?.array ?? []
                guard let next = page["nextCursor"]?.string else { break }
                cursor = "&cursor=\(next)"
            }
            #expect(paged == pending)
            let bar = scores[2]
            let above = try await world.get("/v1/matching/proposals?minimumScore=\(bar)")["items"]?.array
            #expect(above?.count == scores.filter { $0 >= bar }.count)
            let id = job["jobId"]?.string ?? ""
            #expect(
                try await world.get("/v1/matching/proposals?jobId=\(id)&limit=200")["items"]?.array == pending
            )
        }
    }

    @Test("an explanation says what each field adds, with the values of now and none that are kept")
    func explanation() async throws {
        try await MatchingWorld.with(Self.events) { world in
            try await world.match(["review": 0.01])
            let listed = try #require(try await world.proposals("pending").first)
            let path = "/v1/matching/proposals/\(listed["proposalId"]?.string ?? "")"
            let proposal = try await world.get(path)
            let explanation = try #require(proposal["explanation"])
            let fields = try #require(explanation["fields"]?.array)
            #expect(
                fields.map { $0["field"] } == [
                    "givenName", "surname", "dateOfBirth", "city", "postcode", "phone",
                ])
            var sum = (explanation["prior"]?.number ?? 0) + (explanation["shared"]?.number ?? 0)
            for field in fields {
                sum += (field["weight"]?.number ?? 0) + (field["rarity"]?.number ?? 0)
                let values = field["values"]?.array ?? []
                #expect(values.count == 2)
                #expect((field["level"] == .null) == values.contains(.null))
                if field["level"] == "equal" { #expect(values[0] == values[1]) }
            }
            #expect(abs(sum - (proposal["weight"]?.number ?? 0)) < 0.05)

            let left = proposal[path: "between.0"]?.string ?? ""
            let own = try await world.get("/v1/profiles/\(left)")
            #expect(fields[1][path: "values.0"] == own[path: "traits.lastName.value"] ?? .null)
            // One person by now: each shows its own.
            #expect(try await world.decide(listed, "accept").status == 200)
            #expect(try await world.get(path)[path: "explanation.fields"] == explanation["fields"])

            let values = [0, 1, 5].flatMap { Self.people.columns[$0].compactMap(\.self) }
            let kept = try await world.database.owner.query(
                """
                SELECT count(*) AS n
                FROM (SELECT string_agg(t, ' ') AS text FROM (
                    SELECT j::text FROM identity.matching_job j
                    UNION ALL SELECT p::text FROM identity.matching_proposal p) AS rows (t)) AS all_of_it
                JOIN unnest(\(values)::text[]) AS v (value) ON strpos(all_of_it.text, v.value) > 0
                """)
            #expect(try kept.first?.get("n", as: Int.self) == 0)
        }
    }

    @Test("an accepted proposal is a merge that names it and who accepted it, once, and can be taken back")
    func accept() async throws {
        try await MatchingWorld.with(Self.events) { world in
            try await world.match(["review": 0.01])
            let proposal = try #require(try await world.proposals("pending").first)
            let decided = try await world.decide(proposal, "accept", key: "k1")
            #expect(decided.status == 200)
            #expect(decided.json["state"] == "accepted")
            #expect(try await world.decide(proposal, "accept", key: "k1").json == decided.json)
            let late = try await world.decide(proposal, "reject")
            #expect(late.status == 409)
            #expect(late.json["type"] == "https://martlet.dev/problems/proposal-decided")
            let merge = try await world.get("/v1/merges/\(decided.json["mergeId"]?.string ?? "")")
            #expect(merge[path: "cause.kind"] == "matching")
            #expect(merge[path: "cause.decision"] == "accepted")
            #expect(merge[path: "cause.note"] == "looked at it")
            #expect(merge[path: "cause.by"]?.string?.isEmpty == false)
            let ends = Set(proposal["between"]?.array ?? [])
            #expect(Set(merge["between"]?.array ?? []) == ends)
            let shown = try await world.get("/v1/matching/proposals/\(proposal["proposalId"]?.string ?? "")")
            #expect(shown[path: "decision.note"] == "looked at it")
            #expect(shown[path: "profileIds.0"] == shown[path: "profileIds.1"])
            let undone = try await world.service.request(
                "POST", "/v1/merges/\(merge["mergeId"]?.string ?? "")/undo", json: ["note": "no"])
            #expect(undone.status == 200)
            // Neither proposed nor merged again.
            try await world.match(["review": 0.01])
            let apart = try await ends.map { $0.string ?? "" }.sorted().canonical(in: world)
            #expect(Set(apart).count == 2)
            #expect(
                try await world.proposals("pending").allSatisfy { Set($0["between"]?.array ?? []) != ends })
        }
    }

    @Test("who was rejected is neither proposed nor merged again, whatever either side is merged with since")
    func reject() async throws {
        try await MatchingWorld.with(Self.events) { world in
            try await world.match(automatic: false)
            let pending = try await world.proposals("pending")
            // Sure enough to be merged, if nobody had said otherwise.
            let proposal = try #require(pending.first)
            let rejected = try await world.decide(proposal, "reject")
            #expect(rejected.json["state"] == "rejected")
            let ends = proposal["between"]?.array ?? []
            // One of the two is merged with somebody else, and is not its own profile any more.
            try await world.resolve([
                event(900, user: "older", late: .hours(1)), event(901, device: "elsewhere"),
            ])
            let other = try await world.service.request(
                "POST", "/v1/profiles/lookup", json: ["type": "userId", "value": "older"])
            let merged = try await world.service.request(
                "POST", "/v1/merges",
                json: ["profileIds": [other.json["profileId"] ?? .null, ends[0]], "note": "known to be"])
            #expect(merged.status == 201)
            #expect(merged.json["profileId"] == other.json["profileId"])

            let again = try await world.match()
            #expect(again["state"] == "done")
            #expect(again[path: "counts.rejectedBefore"]?.integer ?? 0 >= 1)
            #expect(again[path: "counts.merged"]?.integer ?? 0 > 20)
            let (left, right) = (
                try await world.get("/v1/profiles/\(ends[0].string ?? "")"),
                try await world.get("/v1/profiles/\(ends[1].string ?? "")")
            )
            #expect(left["profileId"] != right["profileId"])
            let still = try await world.proposals("pending").map { Set($0["profileIds"]?.array ?? []) }
            #expect(!still.contains([left["profileId"] ?? .null, right["profileId"] ?? .null]))
        }
    }

    @Test("a later job asks no second time of a pair that waits")
    func renewed() async throws {
        try await MatchingWorld.with(Self.events) { world in
            let first = try await world.match(automatic: false)
            let before = try await world.proposals("pending")
            let second = try await world.match(automatic: false)
            let after = try await world.proposals("pending")
            #expect(after.map { $0["proposalId"] } == before.map { $0["proposalId"] })
            #expect(before.allSatisfy { $0["jobId"] == first["jobId"] })
            #expect(after.allSatisfy { $0["jobId"] == second["jobId"] })
        }
    }

    @Test("two with a userId each are proposed, not merged; whoever accepts has looked at it")
    func bothKnown() async throws {
        try await MatchingWorld.with(MatchingWorld.events(Self.people, known: true)) { world in
            let job = try await world.match()
            #expect(job[path: "counts.merged"] == 0)
            let proposal = try #require(try await world.proposals("pending").first)
            #expect(proposal["heldBack"] == "bothKnown")
            #expect(try await world.decide(proposal, "accept").status == 200)
        }
    }

    @Test("who is merged otherwise in the meantime is no question any more")
    func superseded() async throws {
        try await MatchingWorld.with(Self.events) { world in
            try await world.match(automatic: false)
            let proposal = try #require(try await world.proposals("pending").first)
            let merge = try await world.service.request(
                "POST", "/v1/merges", json: ["profileIds": proposal["between"] ?? .null, "note": "by hand"])
            #expect(merge.status == 201)
            let shown = try await world.get("/v1/matching/proposals/\(proposal["proposalId"]?.string ?? "")")
            #expect(shown["state"] == "superseded")
            #expect(try await world.decide(proposal, "accept").status == 409)
            #expect(try await world.proposals("superseded").count == 1)
        }
    }

    @Test("erasing somebody takes their proposals away, also those that a job has still to carry out")
    func erasure() async throws {
        try await MatchingWorld.with(MatchingWorld.events(MadeUpPeople(330, missing: 0, seed: 5))) { world in
            _ = try await world.startJob()
            let runner = world.instance()
            let job = try #require(try await runner.claim())
            try await runner.run(job, batches: 1)
            let rows = try await world.database.owner.query(
                "SELECT left_id, right_id, state FROM identity.matching_proposal ORDER BY step")
            let ends = try [rows[0], rows[rows.count - 1]].map { try $0.get("left_id", as: ProfileID.self) }
            #expect(try rows[0].get("state", as: String.self) == "automatic")
            #expect(try rows[rows.count - 1].get("state", as: String.self) == "planned")
            for id in ends { try await world.erase(id.description) }
            let left = try await world.database.owner.query(
                """
                SELECT FROM identity.matching_proposal
                WHERE left_id = ANY(\(ends)::uuid[]) OR right_id = ANY(\(ends)::uuid[])
                """)
            #expect(left.isEmpty)
            let next = world.instance(ahead: .seconds(61))
            let taken = try #require(try await next.claim())
            try await next.run(taken)
            #expect(try await world.get("/v1/matching/jobs/\(job.id)")["state"] == "done")
            let again = try await world.match()
            #expect(again[path: "counts.profiles"]?.integer ?? 1000 < 660)
        }
    }

    @Test("somebody who asks what is held on them is told of proposals, and not of the others in them")
    func access() async throws {
        try await MatchingWorld.with(Self.events) { world in
            try await world.match(automatic: false)
            let proposal = try #require(try await world.proposals("pending").first)
            let ends = proposal["between"]?.array?.compactMap { $0.string.flatMap { ProfileID($0) } } ?? []
            let told = try await MatchingProposalStore.told(of: [ends[0]], in: world.database.pool)
            #expect(told.array?.contains { $0["proposalId"] == proposal["proposalId"] } == true)
            #expect(!told.compact.contains(ends[1].description))
        }
    }

    private static let somebody = "018bcfe5-6800-732e-8bd2-68de555c384f"

    private static let badRequests: [(String, String, String?, Int)] = [
        ("GET", "/v1/matching/jobs/x", nil, 400), ("GET", "/v1/matching/jobs/\(somebody)", nil, 404),
        ("GET", "/v1/matching/jobs?state=odd", nil, 400), ("GET", "/v1/matching/jobs?cursor=x", nil, 400),
        ("POST", "/v1/matching/jobs/\(somebody)/cancel", nil, 404),
        ("POST", "/v1/matching/jobs", "[]", 400), ("POST", "/v1/matching/jobs", #"{"records":[]}"#, 400),
        ("POST", "/v1/matching/jobs", #"{"fields":{"sex":["gender"]}}"#, 400),
        ("POST", "/v1/matching/jobs", #"{"fields":{"shoe":["size"]}}"#, 400),
        ("POST", "/v1/matching/jobs", #"{"policy":{"merge":0.2,"review":0.9}}"#, 400),
        ("POST", "/v1/matching/jobs", #"{"policy":{"merge":2}}"#, 400),
        ("POST", "/v1/matching/jobs", #"{"policy":{"maybe":0.5}}"#, 400),
        ("POST", "/v1/matching/jobs", #"{"automatic":"yes"}"#, 400),
        ("POST", "/v1/matching/jobs", #"{"x":""# + String(repeating: "x", count: 70_000) + #""}"#, 413),
        ("GET", "/v1/matching/proposals/x", nil, 400),
        ("GET", "/v1/matching/proposals/\(somebody)", nil, 404),
        ("GET", "/v1/matching/proposals?state=planned", nil, 400),
        ("GET", "/v1/matching/proposals?minimumScore=2", nil, 400),
        ("GET", "/v1/matching/proposals?minimumScore=nan", nil, 400),
        ("GET", "/v1/matching/proposals?jobId=x", nil, 400),
        ("GET", "/v1/matching/proposals?cursor=WyJhIiwiYiJd", nil, 400),
        ("POST", "/v1/matching/proposals/\(somebody)/decision", #"{"decision":"accept"}"#, 400),
        ("POST", "/v1/matching/proposals/\(somebody)/decision", #"{"decision":"maybe","note":"x"}"#, 400),
        ("POST", "/v1/matching/proposals/\(somebody)/decision", #"{"decision":"accept","note":"x"}"#, 404),
    ]

    @Test("bad input is answered with a problem that says what was expected")
    func badInput() async throws {
        try await MatchingWorld.with { world in
            for (method, path, body, status) in Self.badRequests {
                let answer = try await world.service.request(method, path, body: body.map { Array($0.utf8) })
                #expect(answer.status == status, "\(method) \(path) \(body?.prefix(80) ?? "")")
                #expect(answer.headers["content-type"] == "application/problem+json", "\(method) \(path)")
            }
        }
    }

    @Test("a job is started once for a key, by whoever may write, and not without end")
    func starting() async throws {
        try await MatchingWorld.with { world in
            func start(_ key: String?, as credential: ServiceHarness.Credential) async throws
                -> ServiceHarness.Answer
            {
                try await world.service.request(
                    "POST", "/v1/matching/jobs", json: [:],
                    headers: key.map { ["Idempotency-Key": $0] } ?? [:],
                    as: credential)
            }
            func credential(_ scopes: Set<Scope>) async throws -> ServiceHarness.Credential {
                let made = try await APIKeyStore(pool: world.database.owner).create(
                    name: "test", scopes: scopes, now: .fromSystemClock())
                return .bearer(made.text)
            }
            let (reader, writer) = (
                try await credential([.profilesRead]), try await credential([.profilesWrite])
            )
            #expect(try await start(nil, as: .none).status == 401)
            #expect(try await start(nil, as: reader).status == 403)
            let first = try await start("k", as: writer)
            #expect(first.status == 201)
            #expect(first.json["state"] == "queued")
            #expect(try await start("k", as: writer).json == first.json)
            let jobs = try await world.service.request("GET", "/v1/matching/jobs?state=queued", as: reader)
            #expect(jobs.json["items"]?.array?.count == 1)
            for _ in 1..<MatchingSettings.mostOpenJobs {
                #expect(try await start(nil, as: writer).status == 201)
            }
            let full = try await start(nil, as: writer)
            #expect(full.status == 409)
            #expect(full.json["type"] == "https://martlet.dev/problems/too-many-jobs")
            let page = try await world.get("/v1/matching/jobs?limit=15")
            let rest = try await world.get(
                "/v1/matching/jobs?limit=15&cursor=\(page["nextCursor"]?.string ?? "")")
            #expect(page["items"]?.array?.count == 15 && rest["items"]?.array?.count == 5)
            #expect(rest["nextCursor"] == .null)
        }
    }
}

extension [String] {
    /// The canonical profiles of these.
    fileprivate func canonical(in world: MatchingWorld) async throws -> [String] {
        var found: [String] = []
        for id in self { found.append(try await world.get("/v1/profiles/\(id)")["profileId"]?.string ?? "") }
        return found
    }
}
