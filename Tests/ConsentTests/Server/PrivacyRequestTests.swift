import Foundation
import Models
import Postgres
import ServiceKit
import TestSupport
import Testing

@Suite("Privacy requests", .enabled(if: TestDatabase.isAvailable, "\(TestDatabase.howToEnable)"))
struct PrivacyRequestTests {
    private static let services: [ServiceName] = [
        .ingestion, .identity, .consent, .segmentation, .recommendation, .journeys, .delivery,
    ]

    private func ask(
        _ type: String, _ profile: ProfileID, _ fixture: ConsentFixture
    ) async throws -> ServiceHarness.Answer {
        try await fixture.service.request(
            "POST", "/v1/privacy-requests",
            json: [
                "type": .string(type), "subject": ["profileId": .string(profile.description)],
                "verifiedBy": ["method": "signed in"],
            ])
    }

    private func report(
        _ id: String, _ service: ServiceName, _ body: JSON, _ fixture: ConsentFixture
    ) async throws -> ServiceHarness.Answer {
        try await fixture.service.request(
            "PUT", "/v1/privacy-requests/\(id)/results/\(service.rawValue)", json: body, as: .service(service)
        )
    }

    /// What consent itself put into its outbox.
    private func ownReport(on id: String, _ fixture: ConsentFixture) async throws -> JSON {
        try #require(try await fixture.service.outboxBodies(pathContaining: "/\(id)/results/").first)
    }

    @Test("a request reaches the stream with the whole person and ends when every service has reported")
    func access() async throws {
        try await ConsentFixture.with { fixture in
            let (known, device) = (try await fixture.makeProfile(), try await fixture.makeProfile())
            try await fixture.decide("grant", of: device)
            try await fixture.merge(device, into: known)
            try await fixture.drain()
            let accepted = try await ask("access", device, fixture)
            #expect(accepted.status == 202)
            let id = try #require(accepted.json["id"]?.string)
            #expect(accepted.json["profileId"]?.string == known.description)
            let row = try #require(
                try await fixture.owner.query("SELECT body FROM consent.stream_privacy_requests").first)
            let published = try PrivacyRequest(json: row.get("body", as: JSON.self))
            #expect(Set(published.profileIDs) == [known, device])

            try await fixture.drain()
            let own = try await ownReport(on: id, fixture)
            #expect(own["result"]?["ledger"]?.array?.count == 1)
            let early = try await fixture.service.request("GET", "/v1/privacy-requests/\(id)/bundle")
            #expect(early.status == 409)
            for service in Self.services {
                let body: JSON =
                    service == .consent
                    ? own : ["status": "completed", "result": ["held": .string(service.rawValue)]]
                #expect(try await report(id, service, body, fixture).status == 200)
                // Again, and a failure that was overtaken: nothing changes.
                #expect(try await report(id, service, body, fixture).status == 200)
                #expect(
                    try await report(id, service, ["status": "failed", "error": "late"], fixture).status
                        == 200)
            }
            let done = try await fixture.service.request("GET", "/v1/privacy-requests/\(id)")
            #expect(done.json["status"]?.string == "completed")
            let bundle = try await fixture.service.request("GET", "/v1/privacy-requests/\(id)/bundle")
            #expect(bundle.json["services"]?["delivery"]?["held"]?.string == "delivery")
            let listed = try await fixture.service.request("GET", "/v1/privacy-requests?status=completed")
            #expect(listed.json["items"]?.array?.count == 1)
            // What was found is for the bundle alone.
            #expect(!done.text.contains("held"))
        }
    }

    @Test("an erasure detaches the person from the ledger, which still verifies, and leaves a receipt")
    func erasure() async throws {
        try await ConsentFixture.with { fixture in
            let (erased, other) = (try await fixture.makeProfile(), try await fixture.makeProfile())
            try await fixture.decide("grant", of: erased, key: "once")
            try await fixture.decide("grant", of: other)
            let access = try await ask("access", erased, fixture)
            let accessID = try #require(access.json["id"]?.string)
            _ = try await report(
                accessID, .identity, ["status": "completed", "result": ["email": "ada"]], fixture)
            let asked = try await ask("erasure", erased, fixture)
            let id = try #require(asked.json["id"]?.string)
            try await fixture.drain()
            let receipt = try await ownReport(on: id, fixture)
            #expect(receipt["result"]?["ledgerEntriesDetached"]?.integer == 1)
            #expect(receipt["result"]?["accessFindings"]?.integer == 0)
            #expect(try await fixture.standing(erased) == nil)
            #expect(try await fixture.standing(other) == "granted")
            let audit = try await fixture.service.request("GET", "/v1/audit/verify")
            #expect(audit.json["valid"]?.bool == true)
            #expect(audit.json["entries"]?.integer == 2)
            let left = try await fixture.owner.query(
                "SELECT count(*) AS n FROM consent.ledger_subject WHERE profile_id = \(erased)")
            #expect(try left.first?.get("n", as: Int.self) == 0)
            // Who is erased can't be shown what was known: they are told so, and not answered with nothing.
            let refused = try await fixture.service.request("GET", "/v1/privacy-requests/\(accessID)")
            #expect(refused.json["state"]?.string == "refused")
            #expect(refused.json["reason"]?.string == "erasure")
            // A finding that arrives after the erasure is not kept.
            _ = try await report(
                accessID, .delivery, ["status": "completed", "result": ["mails": 3]], fixture)
            let kept = try await fixture.owner.query(
                "SELECT count(*) AS n FROM consent.privacy_result WHERE result IS NOT NULL")
            #expect(try kept.first?.get("n", as: Int.self) == 0)
            // Each service's receipt is shown.
            for service in Self.services { _ = try await report(id, service, receipt, fixture) }
            let done = try await fixture.service.request("GET", "/v1/privacy-requests/\(id)")
            #expect(done.json["status"]?.string == "completed")
            #expect(done.json["results"]?.array?.first?["result"]?["ledgerEntriesDetached"]?.integer == 1)
        }
    }

    @Test("what somebody has withdrawn stands until identity has erased them, and then nothing does")
    func withdrawnUntilErased() async throws {
        try await ConsentFixture.with { fixture in
            let profile = try await fixture.makeProfile()
            try await fixture.decide("withdraw", of: profile)
            try await fixture.decide("grant", "analytics", of: profile)
            let id = try #require(try await ask("erasure", profile, fixture).json["id"]?.string)
            try await fixture.drain()
            #expect(try await ownReport(on: id, fixture)["result"]?["consentStates"]?.integer == 2)
            #expect(try await fixture.standing(profile) == "withdrawn")
            #expect(try await fixture.standing(profile, "analytics") == nil)
            try await fixture.owner.execute(
                "UPDATE profiles.profile SET erased_at = \(fixture.clock.now) WHERE profile_id = \(profile)")
            try await fixture.append([.erased(profileID: profile, at: fixture.clock.now)])
            try await fixture.drain()
            #expect(try await fixture.standing(profile) == nil)
        }
    }

    @Test("a failed service fails the request until it reports again")
    func failure() async throws {
        try await ConsentFixture.with { fixture in
            let asked = try await ask("erasure", try await fixture.makeProfile(), fixture)
            let id = try #require(asked.json["id"]?.string)
            for service in Self.services where service != .journeys {
                _ = try await report(id, service, ["status": "completed", "result": [:]], fixture)
            }
            let failed = try await report(id, .journeys, ["status": "failed", "error": "disk full"], fixture)
            #expect(failed.json["status"]?.string == "failed")
            let mended = try await report(id, .journeys, ["status": "completed", "result": [:]], fixture)
            #expect(mended.json["status"]?.string == "completed")
        }
    }

    @Test("of somebody who was erased there is nothing left to ask for, now or later")
    func gone() async throws {
        try await ConsentFixture.with { fixture in
            let profile = try await fixture.makeProfile()
            try await fixture.owner.execute(
                "UPDATE profiles.profile SET erased_at = \(fixture.clock.now) WHERE profile_id = \(profile)")
            let asked = try await ask("erasure", profile, fixture)
            #expect(asked.status == 410)
            #expect(asked.json["type"]?.string == Problem.typeBase + "erased-subject")
        }
    }

    @Test("strangers, other services and unknown requests are refused")
    func refusals() async throws {
        try await ConsentFixture.with { fixture in
            let stranger = ProfileID(UUIDv7.make(at: fixture.clock.now))
            #expect(try await ask("access", stranger, fixture).status == 404)
            let unknown = try await fixture.service.request(
                "POST", "/v1/privacy-requests",
                json: [
                    "type": "access", "subject": ["identifier": ["type": "email", "value": "a@example.com"]],
                ])
            #expect(unknown.status == 404)
            let asked = try await ask("access", try await fixture.makeProfile(), fixture)
            let id = try #require(asked.json["id"]?.string)
            let path = "/v1/privacy-requests/\(id)/results/identity"
            let impostor = try await fixture.service.request(
                "PUT", path, json: ["status": "completed"], as: .service(.journeys))
            #expect(impostor.status == 403)
            let missing = UUIDv7.make(at: fixture.clock.now).uuidString
            #expect(try await fixture.service.request("GET", "/v1/privacy-requests/\(missing)").status == 404)
            #expect(try await fixture.service.request("GET", "/v1/privacy-requests?status=odd").status == 400)
            #expect(try await fixture.service.request("GET", "/v1/privacy-requests?cursor=odd").status == 400)
            let console = try await fixture.service.request(
                "PUT", "/v1/privacy-requests/\(id)/results/console", json: ["status": "completed"],
                as: .service(.console))
            #expect(console.status == 404)
        }
    }
}
