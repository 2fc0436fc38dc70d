import Models
import Postgres
import ServiceKit
import Streams
import TestSupport
import Testing

@testable import IdentityServer

@Suite(
    "Adding to profiles", .enabled(if: TestDatabase.isAvailable, Comment(rawValue: TestDatabase.howToEnable)))
struct UpsertTests {
    private func person(_ user: String, email: String? = nil, traits: JSON = [:]) -> JSON {
        var identifiers: [JSON] = [["type": "userId", "value": .string(user)]]
        if let email { identifiers.append(["type": "email", "value": .string(email)]) }
        return ["identifiers": .array(identifiers), "traits": traits]
    }

    @Test("who has read a profile adds to it only if it is still as it was")
    func ifMatch() async throws {
        try await ProfileAPI.with { api in
            func post(_ body: JSON, _ etag: String) async throws -> ServiceHarness.Answer {
                try await api.service.request("POST", "/v1/profiles", json: body, headers: ["If-Match": etag])
            }
            #expect(try await post(person("u"), "*").status == 412)
            let made = try await api.post("/v1/profiles", person("u", traits: ["plan": "pro"]))
            let id = try #require(made.json["profileId"]?.string)
            func etag() async throws -> String {
                let answer = try await api.service.request("GET", "/v1/profiles/\(id)")
                return answer.headers.first { $0.key.lowercased() == "etag" }?.value ?? ""
            }
            let seen = try await etag()
            #expect(try await post(person("u", traits: ["plan": "free"]), seen).status == 200)
            let late = try await post(person("u", traits: ["plan": "gold"]), seen)
            #expect(late.status == 412)
            #expect(try await api.lookUp("userId", "u")[path: "traits.plan.value"] == "free")
            #expect(try await post(person("u", traits: ["plan": "gold"]), try await etag()).status == 200)
        }
    }

    @Test("what is said of somebody as of before they were erased brings nobody back")
    func erased() async throws {
        try await ProfileAPI.with { api in
            let world = ErasureWorld(api.database)
            try await world.resolve([event(0, .identify, user: "u", email: "a@x.org", late: .hours(2))])
            let after = start - .hours(1)
            try await world.erase(try await world.request("u"), at: api.database.privacy(at: after))
            var late = person("u", email: "a@x.org", traits: ["plan": "pro"]).object ?? [:]
            late["occurredAt"] = .string((after - .minutes(1)).rfc3339)
            let refused = try await api.post("/v1/profiles", .object(late))
            #expect(refused.status >= 400 && refused.status < 500, "\(refused.text)")
            #expect(refused.text.contains("erased"))
            #expect(try await world.people("u") == nil)
            // Whoever comes back is somebody new.
            late["occurredAt"] = nil
            #expect(try await api.post("/v1/profiles", .object(late)).status == 201)
        }
    }

    @Test("a profile is created, updated, and left alone where nothing is new")
    func verdicts() async throws {
        try await ProfileAPI.with { api in
            let created = try await api.post(
                "/v1/profiles", person("u", email: "a@x.org", traits: ["plan": "pro"]))
            #expect(created.status == 201)
            #expect(created.json["verdict"] == "created")
            let same = try await api.post(
                "/v1/profiles", person("u", email: "A@x.org", traits: ["plan": "pro", "city": .null]))
            #expect(same.status == 200)
            #expect(same.json == ["verdict": "unchanged", "profileId": created.json["profileId"] ?? .null])
            #expect(try await api.database.timeline().count == 1)
            let updated = try await api.post("/v1/profiles", person("u", traits: ["plan": "free"]))
            #expect(updated.json["verdict"] == "updated")
            let profile = try await api.lookUp("email", "a@x.org")
            #expect(profile[path: "traits.plan.value"] == "free")
            #expect(profile[path: "traits.email"] == nil)
            #expect(profile["profileId"] == created.json["profileId"])
        }
    }

    @Test(
        "ids of CRM and support systems lead to the profile; what the identity policy takes for none is refused"
    )
    func otherSystems() async throws {
        try await ProfileAPI.with { api in
            let contact: JSON = ["type": "salesforce:contact", "value": "003A1"]
            let phone: JSON = ["type": "phone", "value": "+41 79 123 45 67"]
            let created = try await api.post(
                "/v1/profiles", ["identifiers": [contact, phone], "traits": ["a": 1]])
            #expect(created.status == 201, "\(created.text)")
            let again = try await api.post("/v1/profiles", ["identifiers": [contact], "traits": ["a": 2]])
            #expect(again.json["profileId"] == created.json["profileId"])
            let found = try await api.lookUp("phone", "0041791234567")
            #expect(found[path: "traits.a.value"] == 2)
            for refused in [["type": "shoeSize", "value": "44"], ["type": "phone", "value": "call me"]]
                as [JSON]
            {
                let answer = try await api.post("/v1/profiles", ["identifiers": [refused]])
                #expect(answer.status == 400, "\(answer.text)")
            }
            let batch = try await api.post(
                "/v1/profiles/batch",
                [
                    "items": [
                        ["identifiers": [["type": "userId", "value": "null"]]], ["identifiers": [contact]],
                    ]
                ])
            #expect(batch.json[path: "items.0.verdict"] == "refused")
            #expect(batch.json[path: "items.0.path"]?.string?.hasPrefix("identifiers.0") == true)
            #expect(batch.json[path: "items.1.verdict"] == "unchanged")
        }
    }

    @Test("what is upserted is a fact like an identify call: it joins people, and late values don't win")
    func facts() async throws {
        let events = [
            event(0, device: "d"), event(10, .identify, user: "u", traits: ["plan": "pro"]),
        ]
        try await ProfileAPI.with(events) { api in
            let joined = try await api.post(
                "/v1/profiles",
                [
                    "identifiers": [
                        ["type": "userId", "value": "u"], ["type": "anonymousId", "value": "d"],
                    ], "traits": ["plan": "old", "city": "Bern"],
                    "occurredAt": .string((start + .seconds(5)).rfc3339),
                    "sourceId": "018bcfe5-0000-7000-8000-0000000000ff",
                ])
            #expect(joined.json["verdict"] == "updated")
            let profile = try await api.lookUp("anonymousId", "d")
            #expect(profile[path: "traits.plan.value"] == "pro")
            #expect(profile[path: "traits.city.value"] == "Bern")
            #expect(profile[path: "traits.city.sourceId"] == "018bcfe5-0000-7000-8000-0000000000ff")
            #expect(profile["mergedProfileIds"]?.array?.count == 1)
            let facts = try await api.database.timeline().compactMap { $0.body["kind"]?.string }
            #expect(facts.sorted() == ["event", "event", "event", "merge", "mergedInto"])
        }
    }

    @Test("a call that is repeated under its key takes effect once; its messages are named after the key")
    func idempotency() async throws {
        try await ProfileAPI.with { api in
            let batch: JSON = ["items": [person("a"), person("b"), person("c", email: "nonsense")]]
            let first = try await api.post("/v1/profiles/batch", batch, headers: ["Idempotency-Key": "k1"])
            let again = try await api.post("/v1/profiles/batch", batch, headers: ["Idempotency-Key": "k1"])
            #expect(first.json["created"] == 2)
            #expect(again.json == first.json)
            let other = try await api.post(
                "/v1/profiles/batch", ["items": [person("d")]], headers: ["Idempotency-Key": "k1"])
            #expect(other.status == 409)
            let messages = try await api.database.timeline()
                .compactMap { $0.body[path: "event.messageId"]?.string }
            #expect(messages.count == 2)
            #expect(Set(messages.map { $0.dropLast() }).count == 1)
            #expect(Set(messages.compactMap(\.last)) == ["0", "1"])
            // Many at once: one effect.
            let answers = try await withThrowingTaskGroup(of: JSON.self) { group in
                for _ in 0..<8 {
                    group.addTask {
                        try await api.post("/v1/profiles", person("e"), headers: ["Idempotency-Key": "k2"])
                            .json
                    }
                }
                return try await group.reduce(into: Set<JSON>()) { $0.insert($1) }
            }
            #expect(answers.count == 1)
            #expect(try await api.database.timeline().count == 3)
        }
    }

    @Test("what is withheld is named in the verdict as on the timeline, and nothing where all was taken")
    func withheld() async throws {
        let events = [
            event(0, user: "anna", device: "family", email: "us@x.org"), event(1, user: "cleo", device: "c"),
            event(2, device: "phone"), event(3, user: "cleo", device: "phone"),
        ]
        try await ProfileAPI.with(events) { api in
            let merge = try await api.get("/v1/merges").json[path: "items.0.mergeId"]?.string ?? ""
            _ = try await api.post("/v1/merges/\(merge)/undo", ["note": "her sister's"])
            let limit: JSON = [["type": "email", "reason": "limit", "of": "userId", "limit": 1]]
            let created = try await api.post("/v1/profiles", person("ben", email: "us@x.org"))
            #expect(created.status == 201)
            #expect(created.json["withheld"] == limit)
            let updated = try await api.post(
                "/v1/profiles", person("ben", email: "us@x.org", traits: ["plan": "pro"]))
            #expect(updated.status == 200 && updated.json["verdict"] == "updated")
            #expect(updated.json["withheld"] == limit)
            let cleo: JSON = [
                "identifiers": [
                    ["type": "userId", "value": "cleo"], ["type": "anonymousId", "value": "phone"],
                ]
            ]
            let dora = person("dora", traits: ["phone": "call me", "email": "dora@x.org"])
            let batch = try await api.post(
                "/v1/profiles/batch", ["items": [cleo, person("anna"), dora, person("eve"), dora]])
            let undone: JSON = [
                ["type": "anonymousId", "reason": "mergeUndone", "mergeId": .string(merge)]
            ]
            #expect(batch.json[path: "items.0.withheld"] == undone)
            #expect(batch.json[path: "items.1.verdict"] == "unchanged")
            #expect(batch.json[path: "items.1.withheld"] == nil)
            #expect(batch.json[path: "items.2.withheld"] == [["type": "phone", "reason": "shape"]])
            #expect(batch.json[path: "items.3.verdict"] == "created")
            #expect(batch.json[path: "items.3.withheld"] == nil)
            let again = try await api.post("/v1/profiles", dora)
            #expect(again.json["verdict"] == "unchanged", "\(again.text)")
            #expect(again.json["withheld"] == [["type": "phone", "reason": "shape"]])
            for answer in [created, updated, batch, again] {
                #expect(!answer.text.contains("x.org") && !answer.text.contains("call me"))
            }
            let facts = try await api.database.timeline().map(\.body).filter { $0["kind"] == "withheld" }
            let said = [created.json, updated.json] + (batch.json["items"]?.array ?? [])
            #expect(Set(facts.compactMap { $0["items"] }) == Set(said.compactMap { $0["withheld"] }))
        }
    }

    @Test("in a batch each item gets its verdict in its place, and a bad one costs nobody else")
    func batch() async throws {
        try await ProfileAPI.with([event(0, .identify, user: "known", traits: ["plan": "pro"])]) { api in
            let items = [
                #"{"identifiers":[{"type":"userId","value":"new"}],"traits":{"name":"Ada"}}"#,
                #"{"identifiers":[{"type":"userId","value":"known"}],"traits":{"plan":"pro"}}"#,
                #"{"identifiers":[{"type":"userId","value":"known"}],"traits":{"plan":"free"}}"#,
                #"{"identifiers":[{"type":"userId","value":"\u0000"}]}"#,
                #"{"identifiers":[{"type":"userId","value":"\ud800"}]}"#,
                #"{"identifiers":[{"type":"userId","value":"bell\u0007"}]}"#,
                #"{"identifiers":[]}"#, #"{"identifiers":[{"type":"shoe","value":"9"}]}"#, "7", "null", "[]",
                #"{"identifiers":[{"type":"userId","value":"x"}],"trait":{}}"#,
                #"{"identifiers":[{"type":"userId","value":"x"}],"traits":[]}"#,
                #"{"identifiers":[{"type":"userId","value":"x"}],"occurredAt":"2999-01-01T00:00:00Z"}"#,
                #"{"identifiers":[{"type":"email","value":"a@x.org"}],"traits":{"email":"b@x.org"}}"#,
                #"{"identifiers":[{"type":"userId","value":"a"},{"type":"userId","value":"b"}]}"#,
                #"{"identifiers":[{"type":"userId","value":"\#(String(repeating: "x", count: 1 << 20))"}]}"#,
                #"{"identifiers":[{"type":"userId","value":"x"}],"traits":{"a":\#(String(repeating: "[", count: 40))\#(String(repeating: "]", count: 40))}}"#,
                #"{"identifiers":[{"type":"userId","value":"x"}],"traits":{"\#(String(repeating: "n", count: 513))":1}}"#,
                #"{"identifiers":[{"type":"userId","value":"new"}],"traits":{"name":"Ada"}}"#,
            ]
            let answer = try await api.service.request(
                "POST", "/v1/profiles/batch",
                body: Array("{\"items\":[\(items.joined(separator: ","))]}".utf8))
            #expect(answer.status == 200)
            let verdicts = answer.json["items"]?.array ?? []
            let names = verdicts.map { $0["verdict"]?.string ?? "" }
            #expect(names.prefix(3) == ["created", "unchanged", "updated"])
            #expect(names.dropFirst(3).dropLast().allSatisfy { $0 == "refused" }, "\(names)")
            #expect(["updated", "unchanged"].contains(names.last))
            #expect(verdicts.map { $0["position"]?.integer } == (0..<Int64(items.count)).map { $0 })
            #expect(verdicts[3...18].allSatisfy { $0["reason"]?.string?.isEmpty == false })
            #expect(verdicts[7]["path"] == "identifiers.0.type")
            #expect(answer.json["refused"] == .integer(Int64(items.count - 4)))
            #expect(!answer.text.contains("b@x.org"))
            #expect(try await api.lookUp("userId", "new")[path: "traits.name.value"] == "Ada")
        }
    }

    @Test("a thousand items land in one call, and the same again changes nothing")
    func thousand() async throws {
        try await ProfileAPI.with { api in
            let items = (0..<1_000).map { person("u\($0)", traits: ["number": .integer(Int64($0))]) }
            let first = try await api.post("/v1/profiles/batch", ["items": .array(items)])
            #expect(first.json["created"] == 1_000)
            let again = try await api.post("/v1/profiles/batch", ["items": .array(items)])
            #expect(again.json["unchanged"] == 1_000)
            #expect(try await api.database.timeline().count == 1_000)
            // Of several items about one person the last holds.
            let steps = (0..<12).map { person("u0", traits: ["step": .integer(Int64($0))]) }
            #expect(try await api.post("/v1/profiles/batch", ["items": .array(steps)]).json["updated"] == 12)
            #expect(try await api.lookUp("userId", "u0")[path: "traits.step.value"] == 11)
        }
    }

    private static let badRequests: [(String, String, Int)] = [
        ("/v1/profiles", "{}", 400), ("/v1/profiles", "[]", 400), ("/v1/profiles", "", 400),
        ("/v1/profiles", #"{"identifiers":[{"type":"email","value":"x"}]}"#, 400),
        ("/v1/profiles", #"{"identifiers":"u"}"#, 400),
        ("/v1/profiles", "{\"identifiers\":\"" + String(repeating: "x", count: 1 << 20) + "\"}", 413),
        ("/v1/profiles", #"{"identifiers":[{"type":"userId","value":"a\nb"}]}"#, 400),
        ("/v1/profiles", #"{"identifiers":[{"type":"userId","value":"a"}],"traits":{"a":"\u0000"}}"#, 400),
        ("/v1/profiles/batch", "{}", 400), ("/v1/profiles/batch", #"{"items":[]}"#, 400),
        ("/v1/profiles/batch", #"{"items":{}}"#, 400), ("/v1/profiles/batch", #"{"items":7}"#, 400),
        ("/v1/profiles/batch", #"[{"items":[]}]"#, 400), ("/v1/profiles/batch", #"{"items":[1,]}"#, 400),
        ("/v1/profiles/batch", #"{"items":[1],"more":1}"#, 400),
        (
            "/v1/profiles/batch",
            "{\"items\":[" + Array(repeating: "1", count: 1_001).joined(separator: ",") + "]}", 400
        ),
        ("/v1/profiles/batch", "{\"items\":[\"" + String(repeating: "x", count: 9 << 20) + "\"]}", 413),
    ]

    @Test("a call that can't be read is refused as a whole with what is expected")
    func badInput() async throws {
        try await ProfileAPI.with { api in
            for (path, body, status) in Self.badRequests {
                let answer = try await api.service.request("POST", path, body: Array(body.utf8))
                #expect(answer.status == status, "\(path) \(body.prefix(80))")
                #expect(answer.headers["content-type"] == "application/problem+json")
            }
            let key = try await api.post("/v1/profiles", person("u"), headers: ["Idempotency-Key": "a b"])
            #expect(key.status == 400)
            let reader = try await api.key([.profilesRead])
            for path in ["/v1/profiles", "/v1/profiles/batch"] {
                #expect(
                    try await api.service.request("POST", path, json: person("u"), as: reader).status == 403)
            }
            #expect(try await api.database.timeline().isEmpty)
        }
    }
}
