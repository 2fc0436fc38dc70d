import Foundation
import Models
import Postgres
import ProfileStore
import ServiceKit
import TestSupport
import Testing

@Suite(
    "Mails that answer what was just asked for",
    .enabled(if: TestDatabase.isAvailable, Comment(rawValue: TestDatabase.howToEnable)), .serialized,
    .timeLimit(.minutes(5)))
struct NoticeTests {
    @Test("a service has one sent at once, without consent or profile; what can never be sent is over")
    func sending() async throws {
        try await DeliveryFixture.with { fixture in
            let id = MessageID(UUIDv7.make(at: fixture.clock.now))
            func send(
                _ change: [String: JSON] = [:], as credential: ServiceHarness.Credential = .service(.consent)
            )
                async throws -> Int
            {
                let body: [String: JSON] = [
                    "id": .string(id.description), "address": "jo@example.org", "subject": "Please confirm",
                    "text": "Here: https://x.example/1", "html": "<p>Here</p>",
                    "expiresAt": .string((fixture.clock.now + .hours(1)).rfc3339),
                ]
                return try await fixture.service.request(
                    "POST", "/v1/notices", json: .object(body.merging(change) { $1 }), as: credential
                ).status
            }
            #expect(try await send() == 204)
            let mail = try fixture.file(["messageId": .string(id.description)])
            #expect(mail.contains("To: jo@example.org\r\n") && mail.contains("https://x.example/1"))
            #expect(!mail.contains("List-Unsubscribe") && !mail.contains("/t/o/"))
            #expect(try await send(["expiresAt": .string(fixture.clock.now.rfc3339)]) == 410)
            #expect(try await send(["address": "ödd@example.org"]) == 410)
            #expect(try await send(["address": 1]) == 400)
            #expect(try await send(as: .none) == 401)
            // Who unsubscribed may ask anew; where mail bounces none is sent.
            func suppress(_ purpose: String?, _ reason: String) async throws {
                var body: [String: JSON] = ["address": "jo@example.org", "reason": .string(reason)]
                body["purpose"] = purpose.map { .string($0) }
                let answer = try await fixture.service.request("PUT", "/v1/suppressions", json: .object(body))
                #expect((200...204).contains(answer.status))
            }
            try await suppress("marketing", "unsubscribed")
            #expect(try await send() == 204)
            try await suppress(nil, "bounced")
            #expect(try await send() == 410)
        }
    }

    @Test("what was written to somebody as a file goes when identity has erased them, whoever comes first")
    func erased() async throws {
        try await DeliveryFixture.with { fixture in
            let key = IdentifierKey(secret: ServiceHarness.secret)
            let profile = try await fixture.makeProfile(email: "jo@example.org")
            func files() -> Int {
                (try? FileManager.default.contentsOfDirectory(atPath: fixture.outboxDirectory.path).count)
                    ?? 0
            }
            func send(to address: String) async throws {
                let answer = try await fixture.service.request(
                    "POST", "/v1/notices",
                    json: [
                        "id": .string(UUIDv7.make(at: fixture.clock.now).hyphenated),
                        "address": .string(address), "subject": "s", "text": "t", "html": "h",
                        "expiresAt": .string((fixture.clock.now + .hours(1)).rfc3339),
                    ], as: .service(.consent))
                #expect(answer.status == 204)
            }
            func erase(_ body: JSON) async throws {
                let answer = try await fixture.service.request(
                    "PUT", "/v1/erasures/\(UUIDv7.make(at: fixture.clock.now).hyphenated)", json: body,
                    as: .service(.identity))
                #expect(answer.status == 204)
            }
            for address in ["jo@example.org", "Jo@example.org", "eve@example.org", "ann@example.org"] {
                try await send(to: address)
            }
            #expect(files() == 4)
            // While identity still knows whose the address is.
            try await erase(["profileIds": [.string(profile.description)]])
            #expect(files() == 2)
            // And when it has told of it.
            let hash = key.place(of: try #require(Identifier(.email, "eve@example.org"))).hash
            try await erase([
                "profileIds": [], "addressHashes": [.string(hexadecimal(Array(hash)))],
            ])
            #expect(files() == 1)
            #expect(try await fixture.owner.query("SELECT FROM delivery.notice_file").count == 1)
        }
    }

    @Test("while the mail server is away the caller is told to call again")
    func away() async throws {
        try await DeliveryFixture.with(["MARTLET_SMTP_URL": "smtp://127.0.0.1:9"]) { fixture in
            let answer = try await fixture.service.request(
                "POST", "/v1/notices",
                json: [
                    "id": .string(UUIDv7.make(at: fixture.clock.now).hyphenated), "address": "jo@example.org",
                    "subject": "s", "text": "t", "html": "h",
                    "expiresAt": .string((fixture.clock.now + .hours(1)).rfc3339),
                ], as: .service(.consent))
            #expect(answer.status == 503 && answer.headers["retry-after"] != nil)
        }
    }
}
