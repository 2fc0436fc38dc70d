import IdentityDomain
import Models
import Postgres
import ServiceKit
import Streams
import TestSupport
import Testing

@testable import IdentityServer

@Suite(
    "Records in matching jobs",
    .enabled(if: TestDatabase.isAvailable, Comment(rawValue: TestDatabase.howToEnable)))
struct MatchingRecordTests {
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

    @Test("records become theirs who they are surely of, with id and traits, and each can be taken back")
    func links() async throws {
        try await MatchingWorld.with(Self.events) { world in
            let job = try await world.bring(Self.records)
            #expect(job["state"] == "done")
            #expect(job[path: "counts.records"] == 120)
            #expect(job[path: "counts.steps"] == job[path: "counts.stepsDone"])
            let linked = try await world.rows(job, "linked")
            #expect(job[path: "counts.linked"]?.integer == Int64(linked.count))
            #expect(linked.count > 60)
            var right = 0
            for row in linked {
                let number = (row["row"]?.integer ?? 0) * 2 - 1
                #expect(row["id"]?.string == "c\(number)")
                if row["profileId"]?.string == (try await world.profile(Int(number) - 1)) { right += 1 }
            }
            #expect(Double(right) / Double(linked.count) > 0.97)

            let first = try #require(try await world.proposals("automatic").first { $0["records"] != nil })
            let id = try #require(first[path: "records.1.id"]?.string)
            #expect(first[path: "records.0"] == .null && first[path: "between.1"] == .null)
            let merge = try await world.get("/v1/merges/\(first["mergeId"]?.string ?? "")")
            #expect(merge[path: "cause.proposalId"] == first["proposalId"])
            let person = try await world.found("crm:contact", id)
            #expect(person["profileId"] == first[path: "between.0"])
            let record = try #require(Self.records.first { $0["id"]?.string == id })
            #expect(person[path: "traits.city.value"] == record[path: "traits.city"])
            let undone = try await world.service.request(
                "POST", "/v1/merges/\(merge["mergeId"]?.string ?? "")/undo", json: ["note": "no"])
            #expect(undone.status == 200)
            let alone = try await world.found("crm:contact", id)
            #expect(alone["profileId"] != first[path: "between.0"])
            #expect(alone["identifiers"]?.array?.count == 1)
            #expect(alone[path: "traits.lastName.value"] == record[path: "traits.lastName"])

            // Brought once more they are known, whatever became of them, and nothing else is done.
            let again = try await world.bring(Self.records)
            #expect(again[path: "counts.knownRecords"]?.integer == Int64(linked.count))
            #expect(again[path: "counts.linked"] == 0)
            #expect(try await world.found("crm:contact", id)["profileId"] == alone["profileId"])
        }
    }

    @Test("with a tenth of the rows broken the rest is matched, and the broken ones are listed by their rows")
    func broken() async throws {
        let broken: [(String, String?)] = [
            ("7", nil), (#"{"traits":{"lastName":"x"}}"#, "id"),
            (#"{"id":"","traits":{"lastName":"x"}}"#, "id"),
            (#"{"id":"a\u0000","traits":{"lastName":"x"}}"#, nil), (#"{"id":"b"}"#, "traits"),
            (#"{"id":"c","traits":{"plan":"pro","gender":"f"}}"#, "traits"),
            (#"{"id":"d","traits":{"lastName":"x"},"Wilhelmina":1}"#, nil),
            (#"{"id":"e","traits":{"lastName":"x"},"occurredAt":"2999-01-01T00:00:00Z"}"#, "occurredAt"),
            (#"{"id":"f","traits":{"lastName":""# + String(repeating: "x", count: 66_000) + #""}}"#, nil),
            (#"{"id":"c1","traits":{"lastName":"x"}}"#, "id"),
            (
                #"{"id":"g","traits":{"lastName":"# + String(repeating: "[", count: 40)
                    + String(repeating: "]", count: 40) + "}}", nil
            ), (#"{"id":[],"traits":{}}"#, "id"),
        ]
        var texts = Self.records.map(\.compact)
        for (place, item) in broken.enumerated() { texts.insert(item.0, at: place * 10 + 5) }
        let body =
            #"{"recordType":"crm:contact","fields":"# + MatchingWorld.fields.compact + #","records":["#
            + texts.joined(separator: ",") + "]}"
        try await MatchingWorld.with(Self.events) { world in
            let started = try await world.service.request(
                "POST", "/v1/matching/jobs", body: Array(body.utf8), headers: ["Idempotency-Key": "k"])
            #expect(started.status == 201, "\(started.text)")
            let repeated = try await world.service.request(
                "POST", "/v1/matching/jobs", body: Array(body.utf8), headers: ["Idempotency-Key": "k"])
            #expect(repeated.json == started.json)
            let refused = started.json["refused"]?.array ?? []
            #expect(refused.map { $0["row"] } == broken.indices.map { .integer(Int64($0 * 10 + 6)) })
            #expect(refused.map { $0["path"]?.string } == broken.map(\.1))
            #expect(refused.allSatisfy { $0["reason"]?.string?.isEmpty == false })
            #expect(!started.text.contains("Wilhelmina") && !started.text.contains("xxx"))
            #expect(started.json[path: "counts.records"] == 132)
            #expect(started.json[path: "counts.refusedRecords"] == 12)
            #expect(try await world.rows(started.json, "waiting").count == 120)

            let runner = world.instance()
            let claimed = try #require(try await runner.claim())
            try await runner.run(claimed)
            let job = try await world.get("/v1/matching/jobs/\(claimed.id)")
            #expect(job[path: "counts.linked"]?.integer ?? 0 > 60)
            let listed = try await world.rows(job, "refused")
            #expect(listed.map { $0["row"] } == refused.map { $0["row"] })
            #expect(listed.map { $0["reason"] } == refused.map { $0["reason"] })
            // Every row has a verdict, page by page as well.
            var rows: [JSON] = []
            var cursor = ""
            while true {
                let page = try await world.get(
                    "/v1/matching/jobs/\(claimed.id)/records?limit=50\(cursor)")
                rows += page["items"]?.array ?? []
                guard let next = page["nextCursor"]?.string else { break }
                cursor = "&cursor=\(next)"
            }
            #expect(rows.map { $0["row"]?.integer } == (1...132).map { $0 })
            #expect(try await world.rows(job) == rows)
            #expect(rows.allSatisfy { ["refused", "linked", "proposed", "unmatched"].contains($0["state"]) })
        }
    }

    @Test("a record that may be somebody's waits with score, band and explanation; its values are sealed")
    func proposals() async throws {
        try await MatchingWorld.with(Self.events) { world in
            let job = try await world.bring(
                Self.records + [wilhelmina("plain-id", ["email": "wil@x.org"])], automatic: false)
            #expect(job[path: "counts.linked"] == 0)
            let pending = try await world.proposals("pending").filter { $0["records"] != nil }
            #expect(pending.count > 60)
            let listed = try #require(pending.first)
            let id = try #require(listed[path: "records.1.id"]?.string)
            #expect(listed[path: "records.1.type"] == "crm:contact")
            #expect(listed[path: "profileIds.1"] == .null)
            #expect(listed["score"]?.number ?? 0 >= 0.98)
            let path = "/v1/matching/proposals/\(listed["proposalId"]?.string ?? "")"
            let fields = try await world.get(path)[path: "explanation.fields"]?.array ?? []
            let record = try #require(Self.records.first { $0["id"]?.string == id })
            #expect(fields.map { $0["field"] }.contains("surname"))
            let surname = try #require(fields.first { $0["field"] == "surname" })
            #expect(surname[path: "values.1"] == record[path: "traits.lastName"])

            // Nothing of the records lies in plain anywhere, nor their ids.
            let planted =
                Self.records.prefix(20).flatMap { record in
                    ["firstName", "lastName", "phone"].compactMap { record[path: "traits.\($0)"]?.string }
                } + ["plain-id", "wil@x.org", "Wilhelmina", "Featherstone"]
            let tables = [
                "identity.matching_job", "identity.matching_record", "identity.matching_proposal",
                "identity.idempotency_key",
            ]
            for table in tables {
                let rows = try await world.database.owner.query(
                    """
                    SELECT count(*) AS n FROM \(unsafe: table) t
                    JOIN unnest(\(planted)::text[]) AS v (value) ON strpos(t::text, v.value) > 0
                    """)
                #expect(try rows.first?.get("n", as: Int.self) == 0, "\(table)")
            }
            // Of those that nobody is asked about nothing but the id is kept.
            let proposed = try await world.rows(job, "proposed").count
            let kept: SQL = "SELECT count(*) AS n FROM identity.matching_record WHERE body IS NOT NULL"
            #expect(proposed > 60 && proposed < 121)
            #expect(try await stored(kept, in: world) == proposed)
            #expect(try await world.rows(job, "unmatched").contains { $0["id"] == "plain-id" })

            // A job about the same ones asks nobody a second time, and knows their values of now.
            let again = try await world.bring(Self.records, automatic: false)
            let after = try await world.proposals("pending").filter { $0["records"] != nil }
            #expect(Set(after.map { $0["proposalId"] }) == Set(pending.map { $0["proposalId"] }))
            #expect(after.allSatisfy { $0["jobId"] == again["jobId"] })
            #expect(try await stored(kept, in: world) == proposed)
        }
    }

    @Test("whoever accepts makes the record the profile's, with its id, its traits and its address")
    func accept() async throws {
        let events = Self.events + [event(500, .identify, device: "w", traits: Self.wilhelmina)]
        try await MatchingWorld.with(events) { world in
            let job = try await world.bring(
                [wilhelmina("w1", ["email": "wil@x.org", "plan": "gold", "note": .null])], automatic: false)
            let proposal = try #require(try await world.proposals("pending").first { $0["records"] != nil })
            #expect(proposal[path: "records.1.id"] == "w1")
            let decided = try await world.decide(proposal, "accept", key: "k")
            #expect(decided.status == 200, "\(decided.text)")
            #expect(decided.json["state"] == "accepted")
            #expect(decided.json[path: "records.1.id"] == "w1")
            #expect(decided.json[path: "profileIds.0"] == decided.json[path: "profileIds.1"])
            #expect(try await world.decide(proposal, "accept", key: "k").json == decided.json)
            let late = try await world.decide(proposal, "reject")
            #expect(late.json["type"] == "https://martlet.dev/problems/proposal-decided")
            for (type, value) in [("crm:contact", "w1"), ("email", "wil@x.org"), ("anonymousId", "w")] {
                let person = try await world.found(type, value)
                #expect(person["profileId"] == proposal[path: "between.0"])
                #expect(person[path: "traits.plan.value"] == "gold")
                #expect(person[path: "traits.email.value"] == "wil@x.org")
            }
            #expect(try await world.rows(job, "linked").map { $0["id"] } == ["w1"])
            let merge = try await world.get("/v1/merges/\(decided.json["mergeId"]?.string ?? "")")
            #expect(merge[path: "cause.decision"] == "accepted")
            #expect(merge[path: "cause.note"] == "looked at it")
            #expect(
                try await stored(
                    "SELECT count(*) AS n FROM identity.matching_record WHERE body IS NOT NULL", in: world)
                    == 0)
            // Each shows what is its own.
            let shown = try await world.get("/v1/matching/proposals/\(proposal["proposalId"]?.string ?? "")")
            let surname = shown[path: "explanation.fields"]?.array?.first { $0["field"] == "surname" }
            #expect(surname?["values"] == ["Featherstone", "Featherstone"])
            // What the record says is as old as its job, and later values stay.
            #expect(try await world.bring([wilhelmina("w1")])[path: "counts.knownRecords"] == 1)
        }
    }

    @Test("a record that nothing is left of is made nobody's; it is asked for once more, and then it can be")
    func gone() async throws {
        let events = Self.events + [event(500, .identify, device: "w", traits: Self.wilhelmina)]
        try await MatchingWorld.with(events) { world in
            try await world.bring([wilhelmina("w1")], automatic: false)
            let proposal = try #require(try await world.proposals("pending").first { $0["records"] != nil })
            // As when the key of the day that it came is no more.
            try await world.database.owner.execute("UPDATE identity.matching_record SET body = NULL")
            let refused = try await world.decide(proposal, "accept")
            #expect(refused.status == 409)
            #expect(refused.json["type"] == "https://martlet.dev/problems/record-gone")
            #expect(try await world.proposals("pending").map { $0["proposalId"] } == [proposal["proposalId"]])
            #expect(try await stored("SELECT count(*) AS n FROM profiles.merge", in: world) == 0)
            try await world.bring([wilhelmina("w1")], automatic: false)
            #expect(try await world.decide(proposal, "accept").json["state"] == "accepted")
            #expect(
                try await world.found("crm:contact", "w1")["profileId"]
                    == (try await world.found("anonymousId", "w")["profileId"]))
        }
    }

    @Test("who was said not to be a record's is not asked about again, also when it has become a profile")
    func reject() async throws {
        let events = Self.events + [event(500, .identify, device: "w", traits: Self.wilhelmina)]
        try await MatchingWorld.with(events) { world in
            try await world.bring([wilhelmina("w1")], automatic: false)
            let proposal = try #require(try await world.proposals("pending").first { $0["records"] != nil })
            #expect(try await world.decide(proposal, "reject").json["state"] == "rejected")
            #expect(
                try await stored(
                    "SELECT count(*) AS n FROM identity.matching_record WHERE body IS NOT NULL", in: world)
                    == 0)
            let again = try await world.bring([wilhelmina("w1")])
            #expect(again[path: "counts.rejectedBefore"] == 1)
            #expect(again[path: "counts.linked"] == 0)
            // Another record of the same person is another question.
            let other = try await world.bring([wilhelmina("w2")])
            #expect(other[path: "counts.linked"] == 1)
            // Without the number, which would say that both are one.
            let traits = Self.wilhelmina.filter { $0.key != "phone" }
            let created = try await world.service.request(
                "POST", "/v1/profiles",
                json: ["identifiers": [["type": "crm:contact", "value": "w1"]], "traits": .object(traits)])
            #expect(created.status == 201)
            let job = try await world.match()
            #expect(job[path: "counts.merged"] == 0)
            #expect(job[path: "counts.rejectedBefore"]?.integer ?? 0 >= 1)
            #expect(
                try await world.found("crm:contact", "w1")["profileId"]
                    != (try await world.found("anonymousId", "w")["profileId"]))
        }
    }

    @Test(
        "records of one person whom nobody knows are asked about; of somebody known they are linked by way of another"
    )
    func records() async throws {
        var near = Self.wilhelmina
        near["phone"] = nil
        let events = Self.events + [event(500, .identify, device: "w", traits: Self.wilhelmina)]
        let stranger: [String: JSON] = [
            "firstName": "Balthasar", "lastName": "Quillfeather", "birthday": "1977-07-07",
            "city": "Elsewhere",
            "postalCode": "8888", "phone": "+41787654321",
        ]
        try await MatchingWorld.with(events) { world in
            let job = try await world.bring([
                wilhelmina("w1"), ["id": "w2", "traits": .object(near)],
                ["id": "s1", "traits": .object(stranger)], ["id": "s2", "traits": .object(stranger)],
            ])
            #expect(job[path: "counts.linked"] == 2)
            let ws = try await ["w1", "w2"].asyncMap { try await world.found("crm:contact", $0)["profileId"] }
            #expect(Set(ws) == [try await world.found("anonymousId", "w")["profileId"]])
            let pending = try await world.proposals("pending")
            #expect(pending.count == 1)
            let proposal = try #require(pending.first)
            #expect(proposal["heldBack"] == "noProfile")
            #expect(proposal["between"] == [.null, .null])
            #expect(proposal["records"]?.array?.map { $0["id"] } == ["s1", "s2"])
            #expect(try await world.found("crm:contact", "s1")["profileId"] == nil)
            let decided = try await world.decide(proposal, "accept")
            #expect(decided.status == 200, "\(decided.text)")
            let ss = try await ["s1", "s2"].asyncMap { try await world.found("crm:contact", $0) }
            #expect(ss[0]["profileId"] != nil && ss[0] == ss[1])
            #expect(ss[0][path: "traits.lastName.value"] == "Quillfeather")
        }
    }

    @Test(
        "a record whose address is somebody else's is asked about, and the address stays with whom it leads to"
    )
    func elsewhere() async throws {
        let events =
            Self.events + [
                event(500, .identify, device: "w", traits: Self.wilhelmina),
                event(501, .identify, user: "spouse", email: "both@x.org"),
            ]
        try await MatchingWorld.with(events) { world in
            let job = try await world.bring([wilhelmina("w1", ["email": "both@x.org", "plan": "gold"])])
            #expect(job[path: "counts.linked"] == 0)
            let proposal = try #require(try await world.proposals("pending").first { $0["records"] != nil })
            #expect(proposal["heldBack"] == "elsewhere")
            #expect(try await world.decide(proposal, "accept").status == 200)
            let person = try await world.found("crm:contact", "w1")
            #expect(person["profileId"] == (try await world.found("anonymousId", "w")["profileId"]))
            #expect(person[path: "traits.plan.value"] == "gold")
            #expect(person[path: "traits.email"] == nil)
            #expect(
                try await world.found("email", "both@x.org")["profileId"]
                    == (try await world.found("userId", "spouse")["profileId"]))
        }
    }

    @Test("records named by a userId are never linked to somebody who has one without asking")
    func known() async throws {
        let events =
            Self.events + [
                event(500, .identify, user: "old", traits: Self.wilhelmina),
                event(
                    501, .identify, device: "q",
                    traits: [
                        "lastName": "Quillfeather", "firstName": "Balthasar", "birthday": "1977-07-07",
                        "postalCode": "8888",
                    ]),
            ]
        let balthasar: JSON = [
            "id": 4711,
            "traits": [
                "lastName": "Quillfeather", "firstName": "Balthasar", "birthday": "1977-07-07",
                "postalCode": "8888",
            ],
        ]
        try await MatchingWorld.with(events) { world in
            let job = try await world.bring([wilhelmina("new"), balthasar], type: "userId")
            #expect(job[path: "counts.linked"] == 1)
            #expect(
                try await world.found("userId", "4711")["profileId"]
                    == (try await world.found("anonymousId", "q")["profileId"]))
            let proposal = try #require(try await world.proposals("pending").first { $0["records"] != nil })
            #expect(proposal["heldBack"] == "bothKnown")
            #expect(proposal[path: "records.1"] == ["type": "userId", "id": "new"])
        }
    }

    @Test("a number that a person is known by counts in look-ups and for records, however it is written")
    func phones() async throws {
        var plain = Self.wilhelmina
        plain["phone"] = nil
        var said = event(500, .identify, device: "w", traits: plain)
        said.context["traits"] = ["phone": "+41 79 123 45 67"]
        let events = Self.events + [said]
        try await MatchingWorld.with(events) { world in
            let asked: JSON = [
                "traits": ["lastName": "Featherstone", "phone": "0041 (0)79 123 45 67"],
                "policy": ["merge": 1, "review": 0.0001],
            ]
            var answer = try await world.service.request("POST", "/v1/matching/lookup", json: asked)
            while answer.status == 503 {
                answer = try await world.service.request("POST", "/v1/matching/lookup", json: asked)
            }
            let fields = answer.json[path: "items.0.explanation.fields"]?.array ?? []
            let phone = try #require(fields.first { $0["field"] == "phone" })
            #expect(phone["level"] == "equal")
            #expect(phone["values"] == ["+41791234567", "+41791234567"])

            let fields2: JSON = ["surname": ["lastName"], "phone": ["identifiers.phone"], "city": ["city"]]
            let started = try await world.startJob(
                with: [
                    [
                        "id": "w1",
                        "traits": ["lastName": "Featherstone", "phone": "+41791234568", "city": "Nowhere"],
                    ]
                ],
                ["merge": 1, "review": 0.001], fields: fields2)
            #expect(started.status == 201, "\(started.text)")
            let runner = world.instance()
            let job = try #require(try await runner.claim())
            try await runner.run(job)
            let proposal = try #require(try await world.proposals("pending").first { $0["records"] != nil })
            let shown = try await world.get("/v1/matching/proposals/\(proposal["proposalId"]?.string ?? "")")
            let compared = shown[path: "explanation.fields"]?.array?.first { $0["field"] == "phone" }
            #expect(compared?["level"] == "one digit apart")
            #expect(compared?["values"] == ["+41791234567", "+41791234568"])
        }
    }

    private static let badBodies: [(String, Int)] = [
        (#"{"records":[{"id":"a","traits":{"lastName":"x"}}]}"#, 400),
        (#"{"recordType":"crm:contact"}"#, 400),
        (#"{"sourceId":"018bcfe5-6800-732e-8bd2-68de555c384f"}"#, 400),
        (#"{"recordType":"shoeSize","records":[{"id":"a","traits":{"lastName":"x"}}]}"#, 400),
        (#"{"recordType":"crm contact","records":[{"id":"a","traits":{"lastName":"x"}}]}"#, 400),
        (#"{"recordType":"crm:contact","records":{"id":"a"}}"#, 400),
        (#"{"recordType":"crm:contact","records":[]}"#, 400),
        (#"{"recordType":"crm:contact","records":[{]}"#, 400),
        (#"{"recordType":"crm:contact","sourceId":"x","records":[1]}"#, 400),
        (#"{"recordType":"crm:contact","records":["# + String(repeating: "0,", count: 50_000) + "0]}", 400),
        (#"{"recordType":"crm:contact","records":[1]}"# + String(repeating: " ", count: 70_000), 413),
        (#"{"recordType":"crm:contact","records":[1]}"# + String(repeating: " ", count: 33 << 20), 413),
    ]

    @Test("a call with records that is wrong as a whole is answered with what was expected")
    func badInput() async throws {
        try await MatchingWorld.with { world in
            for (body, status) in Self.badBodies {
                let answer = try await world.service.request(
                    "POST", "/v1/matching/jobs", body: Array(body.utf8))
                #expect(answer.status == status, "\(body.prefix(100)) \(answer.text.prefix(200))")
                #expect(answer.headers["content-type"] == "application/problem+json")
            }
            // All refused is a job as well: the profiles are there to be matched.
            let job = try await world.bring([7, 8])
            #expect(job["state"] == "done")
            #expect(job[path: "counts.refusedRecords"] == 2)
            for path in ["records?state=odd", "records?limit=0", "records?cursor=x"] {
                let id = job["jobId"]?.string ?? ""
                #expect(
                    try await world.service.request("GET", "/v1/matching/jobs/\(id)/\(path)").status == 400)
            }
            let unknown = "018bcfe5-6800-732e-8bd2-68de555c384f"
            #expect(
                try await world.service.request("GET", "/v1/matching/jobs/\(unknown)/records").status == 404)
            #expect(try await stored("SELECT count(*) AS n FROM identity.matching_job", in: world) == 1)
        }
    }
}

extension Array {
    /// One after the other.
    fileprivate func asyncMap<Result>(_ body: (Element) async throws -> Result) async rethrows -> [Result] {
        var results: [Result] = []
        for element in self { results.append(try await body(element)) }
        return results
    }
}
