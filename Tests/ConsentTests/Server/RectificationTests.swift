import Models
import Postgres
import ServiceKit
import Streams
import Synchronization
import TestSupport
import Testing

@Suite("Rectification", .enabled(if: TestDatabase.isAvailable, "\(TestDatabase.howToEnable)"))
struct RectificationTests {
    private func ask(_ corrections: JSON, _ profile: ProfileID, _ fixture: ConsentFixture) async throws
        -> String
    {
        let asked = try await fixture.service.request(
            "POST", "/v1/privacy-requests",
            json: [
                "type": "rectification", "subject": ["profileId": .string(profile.description)],
                "corrections": corrections,
            ])
        #expect(asked.status == 202)
        return try #require(asked.json["id"]?.string)
    }

    private func sweep(_ fixture: ConsentFixture) async throws {
        for case let sweeper as DeadlineSweeper in fixture.service.running.services {
            try await sweeper.sweep()
        }
    }

    private func get(_ id: String, _ fixture: ConsentFixture) async throws -> JSON {
        try await fixture.service.request("GET", "/v1/privacy-requests/\(id)").json
    }

    @Test("identity is told what is right, and the correction is kept no longer")
    func done() async throws {
        try await HTTPReceiver.with({ _ in .init(200, body: "{}") }) { identity in
            try await ConsentFixture.with(identity: identity.url("")) { fixture in
                let profile = try await fixture.makeProfile()
                let id = try await ask(["traits": ["firstName": "Zoë"]], profile, fixture)
                let sealed = try await fixture.owner.query("SELECT detail FROM consent.privacy_request")
                #expect(try sealed.first?.get("detail", as: String.self).contains("Zo") == false)
                try await sweep(fixture)
                #expect(try await get(id, fixture)["state"] == "completed")
                #expect(identity.received.map(\.path) == ["/v1/profiles/\(profile)/corrections"])
                #expect(
                    identity.received.first?.text == #"{"identifiers":[],"traits":{"firstName":"Zoë"}}"#)
                let left = try await fixture.owner.query(
                    "SELECT FROM consent.privacy_request WHERE detail IS NOT NULL")
                #expect(left.isEmpty)
                try await sweep(fixture)
                #expect(identity.received.count == 1)
            }
        }
    }

    @Test("a corrected address goes to identity with the one that it replaces, for the profile by its id")
    func identifiers() async throws {
        try await HTTPReceiver.with({ _ in .init(200, body: "{}") }) { identity in
            try await ConsentFixture.with(identity: identity.url("")) { fixture in
                let profile = try await fixture.makeProfile()
                let address: JSON = [
                    "type": "email", "value": "zoe@example.com", "replaces": "zeo@example.com",
                ]
                let id = try await ask(["identifiers": [address]], profile, fixture)
                try await sweep(fixture)
                #expect(try await get(id, fixture)["state"] == "completed")
                let sent = try JSONParser.parse(identity.received.first?.text ?? "")
                #expect(sent["identifiers"] == [address])
                #expect(identity.received.first?.path == "/v1/profiles/\(profile)/corrections")
            }
        }
    }

    @Test("what identity refuses is reported, and while it is away the request waits")
    func refused() async throws {
        try await ConsentFixture.with { fixture in
            let id = try await ask(["traits": ["age": 7]], try await fixture.makeProfile(), fixture)
            try await sweep(fixture)
            #expect(try await get(id, fixture)["state"] == "inProgress")
            #expect(try await get(id, fixture)["status"] == "pending")
        }
        try await HTTPReceiver.with({ _ in .init(400, body: "{}") }) { identity in
            try await ConsentFixture.with(identity: identity.url("")) { fixture in
                let id = try await ask(["traits": ["age": 7]], try await fixture.makeProfile(), fixture)
                try await sweep(fixture)
                let failed = try await get(id, fixture)
                #expect(failed["status"] == "failed")
                #expect(failed["steps"]?.array?.last?["note"]?.string?.contains("400") == true)
            }
        }
    }

    @Test("what identity refused is tried once more when somebody says so, and then it is done")
    func retried() async throws {
        let refuses = Mutex(true)
        try await HTTPReceiver.with({ _ in
            refuses.withLock { $0 } ? .init(409, body: "{}") : .init(200, body: "{}")
        }) { identity in
            try await ConsentFixture.with(identity: identity.url("")) { fixture in
                let id = try await ask(["traits": ["age": 7]], try await fixture.makeProfile(), fixture)
                let early = try await fixture.service.request(
                    "POST", "/v1/privacy-requests/\(id)/retry", json: [:])
                #expect(early.status == 409)
                #expect(early.json["type"]?.string?.hasSuffix("/nothing-failed") == true)
                try await sweep(fixture)
                #expect(try await get(id, fixture)["status"] == "failed")
                refuses.withLock { $0 = false }
                let retried = try await fixture.service.request(
                    "POST", "/v1/privacy-requests/\(id)/retry", json: ["note": "merged by hand"])
                #expect(retried.status == 200)
                #expect(retried.json["status"] == "pending")
                #expect(retried.json["steps"]?.array?.last?["event"] == "retried")
                #expect(retried.json["steps"]?.array?.last?["note"] == "merged by hand")
                try await sweep(fixture)
                #expect(try await get(id, fixture)["state"] == "completed")
                #expect(identity.received.count == 2)
                let late = try await fixture.service.request(
                    "POST", "/v1/privacy-requests/\(id)/retry", json: [:])
                #expect(late.status == 409)
            }
        }
    }

    @Test("an address that replaces itself, or something of another shape, is no correction")
    func badReplacements() async throws {
        try await ConsentFixture.with { fixture in
            let profile = try await fixture.makeProfile()
            for wrong: JSON in ["zoe@example.com", "not an address", 7, ""] {
                let asked = try await fixture.service.request(
                    "POST", "/v1/privacy-requests",
                    json: [
                        "type": "rectification", "subject": ["profileId": .string(profile.description)],
                        "corrections": [
                            "identifiers": [
                                ["type": "email", "value": "Zoe@example.com", "replaces": wrong]
                            ]
                        ],
                    ])
                #expect(asked.status == 400, "\(wrong)")
            }
        }
    }

    @Test("what identity could never put right is refused when it is asked for")
    func impossible() async throws {
        try await ConsentFixture.with { fixture in
            let profile = try await fixture.makeProfile()
            let many = Dictionary(uniqueKeysWithValues: (0...256).map { ("t\($0)", JSON.integer(1)) })
            let email: JSON = ["type": "email", "value": "a@x.org"]
            for wrong: JSON in [
                ["traits": .object(many)], ["traits": ["": 1]],
                ["traits": .object([String(repeating: "n", count: 513): 1])],
                ["traits": ["long": .string(String(repeating: "x", count: 62 << 10))]],
                ["identifiers": [email, ["type": "email", "value": "b@x.org"]]],
                ["identifiers": [email], "traits": ["email": "b@x.org"]],
            ] {
                let asked = try await fixture.service.request(
                    "POST", "/v1/privacy-requests",
                    json: [
                        "type": "rectification", "subject": ["profileId": .string(profile.description)],
                        "corrections": wrong,
                    ])
                #expect(asked.status == 400, "\(wrong.compact.prefix(80))")
            }
            _ = try await ask(["identifiers": [email], "traits": ["email": "A@x.org"]], profile, fixture)
        }
    }
}
