import Models
import Postgres
import ServiceKit
import Streams
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
                #expect(identity.received.map(\.path) == ["/v1/profiles/\(profile)/traits"])
                #expect(identity.received.first?.text == #"{"firstName":"Zoë"}"#)
                let left = try await fixture.owner.query(
                    "SELECT FROM consent.privacy_request WHERE detail IS NOT NULL")
                #expect(left.isEmpty)
                try await sweep(fixture)
                #expect(identity.received.count == 1)
            }
        }
    }

    @Test("a corrected address goes to identity beside something that the person is known by")
    func identifiers() async throws {
        try await HTTPReceiver.with({ _ in .init(200, body: "{}") }) { identity in
            try await ConsentFixture.with(identity: identity.url("")) { fixture in
                let profile = try await fixture.makeProfile()
                try await fixture.know(try #require(Identifier(.userID, "zoe")), as: profile)
                let address: JSON = ["type": "email", "value": "zoe@example.com"]
                let id = try await ask(["identifiers": [address]], profile, fixture)
                try await sweep(fixture)
                #expect(try await get(id, fixture)["state"] == "completed")
                let sent = try JSONParser.parse(identity.received.first?.text ?? "")
                #expect(sent["identifiers"] == [["type": "userId", "value": "zoe"], address])
                #expect(identity.received.first?.headers["idempotency-key"] == "rectification-\(id)")
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
}
