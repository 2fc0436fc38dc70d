import Foundation
import Models
import Postgres
import TestSupport
import Testing

@Suite("Importing consents", .enabled(if: TestDatabase.isAvailable, "\(TestDatabase.howToEnable)"))
struct ConsentBatchTests {
    private func row(_ profile: ProfileID, _ action: String, at: Instant, _ more: [String: JSON] = [:])
        -> String
    {
        let body: [String: JSON] = [
            "subject": ["profileId": .string(profile.description)], "purpose": "marketing",
            "action": .string(action), "source": "old-crm", "occurredAt": .string(at.rfc3339),
        ]
        return JSON.object(body.merging(more) { $1 }).compact
    }

    private func send(_ fixture: ConsentFixture, _ rows: [String]) async throws -> ServiceHarness.Answer {
        try await fixture.service.request(
            "POST", "/v1/consents/batch", body: Array(rows.joined(separator: "\n").utf8),
            headers: ["Content-Type": "application/x-ndjson"])
    }

    @Test("an array says the same as lines, and anything else is no batch")
    func array() async throws {
        try await ConsentFixture.with { fixture in
            let profile = try await fixture.makeProfile()
            func send(_ text: String, _ type: String = "application/json") async throws
                -> ServiceHarness.Answer
            {
                try await fixture.service.request(
                    "POST", "/v1/consents/batch", body: Array(text.utf8), headers: ["Content-Type": type])
            }
            let row = row(profile, "grant", at: fixture.clock.now - .hours(1))
            let lines = try await send(row, "application/x-ndjson")
            let array = try await send("[\(row), 7]")
            #expect(lines.json[path: "items.0.status"] == "recorded", "\(lines.text)")
            #expect(array.json[path: "items.0.status"] == "duplicate", "\(array.text)")
            #expect(array.json[path: "items.1.status"] == "refused")
            #expect(try await send(row).status == 400)
            #expect(try await send("[]").status == 400)
            #expect(try await send("<a/>", "application/xml").status == 415)
        }
    }

    @Test(
        "each row has its verdict, what is broken does not keep the others from being recorded, and nothing is twice"
    )
    func verdicts() async throws {
        try await ConsentFixture.with { fixture in
            let (ada, bob) = (try await fixture.makeProfile(), try await fixture.makeProfile())
            let stranger = ProfileID(UUIDv7.make(at: fixture.clock.now))
            let before = fixture.clock.now - .days(30)
            try await fixture.know(try #require(Identifier(.email, "bob@example.com")), as: bob)
            let rows = [
                row(
                    ada, "grant", at: before,
                    ["address": "203.0.113.77", "userAgent": "Old CRM", "locale": "de-CH"]),
                row(
                    bob, "deny", at: before,
                    ["subject": ["identifier": ["type": "email", "value": "bob@example.com"]]]),
                "{ not JSON", row(ada, "grant", at: before), row(stranger, "grant", at: before),
                row(ada, "maybe", at: before), row(ada, "grant", at: before, ["purpose": "unheard-of"]),
                row(ada, "grant", at: fixture.clock.now + .days(1)),
                row(ada, "withdraw", at: before - .days(1)),
                row(ada, "grant", at: before, ["occurredAt": .null]),
                row(ada, "grant", at: before, ["address": "here"]),
            ]
            let answer = try await send(fixture, rows)
            #expect(answer.status == 200, "\(answer.json)")
            let items = try #require(answer.json["items"]?.array)
            #expect(
                items.map { $0["status"]?.string } == [
                    "recorded", "recorded", "refused", "duplicate", "refused", "refused", "refused",
                    "refused",
                    "recorded", "refused", "refused",
                ], "\(answer.json)")
            #expect(items[3]["ledgerEntry"] == items[0]["ledgerEntry"])
            #expect(items[5]["path"]?.string == "action")
            #expect(
                ["received", "recorded", "duplicate", "refused"].map { answer.json[$0]?.integer } == [
                    11, 3, 1, 7,
                ])
            #expect(try await fixture.standing(ada) == "granted")
            #expect(try await fixture.standing(bob) == "withdrawn")
            let again = try await send(fixture, [rows[0], rows[1], rows[8]])
            #expect(again.json["duplicate"]?.integer == 3)
            let ledger = try await fixture.service.request("GET", "/v1/profiles/\(ada)/consents")
            let entries = try #require(ledger.json[path: "ledger.items"]?.array)
            #expect(entries.count == 2)
            let first = try #require(entries.first { $0["action"]?.string == "grant" })
            #expect(first["address"]?.string == "203.0.113.0")
            #expect(first["userAgent"]?.string == "Old CRM")
            #expect(first["locale"]?.string == "de-CH")
            #expect(first["policyVersion"]?.integer == 1)
            #expect(!ledger.json.compact.contains("203.0.113.77"))
            let audit = try await fixture.service.request("GET", "/v1/audit/verify")
            #expect(audit.json["valid"]?.bool == true, "\(audit.json)")
        }
    }

    @Test("what is no batch is refused whole")
    func noBatch() async throws {
        try await ConsentFixture.with { fixture in
            let empty = try await send(fixture, ["", "  "])
            #expect(empty.status == 400)
            let long = try await send(fixture, Array(repeating: "{}", count: 10_001))
            #expect(long.status == 400)
        }
    }

    @Test("decisions that come at once share commits, and each is answered for itself")
    func together() async throws {
        try await ConsentFixture.with { fixture in
            var profiles: [ProfileID] = []
            for _ in 0..<40 { profiles.append(try await fixture.makeProfile()) }
            let erased = try await fixture.makeProfile()
            let statuses = try await withThrowingTaskGroup(of: (ProfileID, Int, String?).self) { group in
                for profile in profiles + [erased] {
                    group.addTask {
                        if profile == erased {
                            try await fixture.owner.execute(
                                "UPDATE profiles.profile SET erased_at = now() WHERE profile_id = \(erased)")
                        }
                        let answer = try await fixture.decide("withdraw", of: profile)
                        // By the time of the answer it is there for everybody.
                        return (profile, answer.status, try await fixture.standing(profile))
                    }
                }
                return try await group.reduce(into: []) { $0.append($1) }
            }
            for (profile, status, standing) in statuses {
                #expect(status == (profile == erased ? 404 : 201))
                #expect(standing == (profile == erased ? nil : "withdrawn"))
            }
            let audit = try await fixture.service.request("GET", "/v1/audit/verify")
            #expect(audit.json["valid"]?.bool == true)
            #expect(audit.json["entries"]?.integer == 40)
        }
    }
}
