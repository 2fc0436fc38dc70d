import Foundation
import Models
import Postgres
import ProfileStore
import ServiceKit
import TestSupport
import Testing

@Suite("Recording consent", .enabled(if: TestDatabase.isAvailable, "\(TestDatabase.howToEnable)"))
struct ConsentAPITests {
    @Test("a grant is in the ledger, stands, and is told to the others; so is its withdrawal")
    func grantAndWithdraw() async throws {
        try await ConsentFixture.with { fixture in
            let profile = try await fixture.makeProfile()
            let granted = try await fixture.decide("grant", of: profile)
            #expect(granted.status == 201)
            #expect(granted.json["standing"]?["state"]?.string == "granted")
            // The text that is shown now is the one that was seen.
            #expect(granted.json["textVersion"]?.string == "1")
            fixture.clock.advance(by: .seconds(1))
            #expect(try await fixture.decide("withdraw", of: profile).status == 201)
            #expect(try await fixture.standing(profile) == "withdrawn")
            #expect(try await fixture.changes().map(\.state) == [.granted, .withdrawn])
            let answer = try await fixture.service.request("GET", "/v1/profiles/\(profile)/consents")
            #expect(
                answer.json["ledger"]?["items"]?.array?.map { $0["action"]?.string } == ["withdraw", "grant"])
            let marketing = answer.json["consents"]?.array?.first { $0["purpose"]?.string == "marketing" }
            #expect(marketing?["permitted"]?.bool == false)
            #expect(marketing?["reason"]?.string == "consent-withdrawn")
            let transactional = answer.json["consents"]?.array?.first {
                $0["purpose"]?.string == "transactional"
            }
            #expect(transactional?["permitted"]?.bool == true)
        }
    }

    @Test("an older decision is kept and changes nothing")
    func late() async throws {
        try await ConsentFixture.with { fixture in
            let profile = try await fixture.makeProfile()
            try await fixture.decide("withdraw", of: profile)
            let late = try await fixture.decide("grant", of: profile, at: fixture.clock.now - .hours(1))
            #expect(late.status == 201)
            #expect(late.json["standing"]?["state"]?.string == "withdrawn")
            #expect(try await fixture.changes().count == 1)
            let answer = try await fixture.service.request("GET", "/v1/profiles/\(profile)/consents?limit=1")
            #expect(answer.json["ledger"]?["items"]?.array?.count == 1)
            let cursor = try #require(answer.json["ledger"]?["nextCursor"]?.string)
            let rest = try await fixture.service.request(
                "GET", "/v1/profiles/\(profile)/consents?limit=1&cursor=\(cursor)")
            #expect(rest.json["ledger"]?["items"]?.array?.count == 1)
            #expect(rest.json["ledger"]?["nextCursor"]?.isNull == true)
        }
    }

    @Test("a request that is repeated under its key takes effect once and gets the same answer")
    func idempotency() async throws {
        try await ConsentFixture.with { fixture in
            let profile = try await fixture.makeProfile()
            let first = try await fixture.decide("grant", of: profile, key: "k1")
            fixture.clock.advance(by: .seconds(5))
            let again = try await fixture.decide("grant", of: profile, key: "k1")
            #expect(again.status == 201)
            #expect(again.json == first.json)
            #expect(try await fixture.decide("withdraw", of: profile, key: "k1").status == 409)
            #expect(try await fixture.changes().count == 1)
            // Many at once: one effect.
            let answers = try await withThrowingTaskGroup(of: JSON.self) { group in
                for _ in 0..<8 {
                    group.addTask { try await fixture.decide("withdraw", of: profile, key: "k2").json }
                }
                return try await group.reduce(into: Set<JSON>()) { $0.insert($1) }
            }
            #expect(answers.count == 1)
            #expect(try await fixture.changes().count == 2)
            // After a day the key is forgotten.
            fixture.clock.advance(by: .hours(25))
            #expect(try await fixture.decide("grant", of: profile, key: "k1").json != first.json)
        }
    }

    @Test("a known identifier leads to its profile; for a new one identity is asked")
    func identifiers() async throws {
        try await ConsentFixture.with { fixture in
            let profile = try await fixture.makeProfile()
            try await fixture.know(try #require(Identifier(.email, "ada@example.com")), as: profile)
            func body(_ email: String) -> JSON {
                [
                    "subject": ["identifier": ["type": "email", "value": .string(email)]],
                    "purpose": "marketing", "action": "grant", "source": "checkout",
                ]
            }
            let known = try await fixture.service.request(
                "POST", "/v1/consents", json: body(" Ada@Example.com"))
            #expect(known.status == 201)
            #expect(known.json["profileId"]?.string == profile.description)
            // Identity is not there in this test: that is temporary, and nothing is recorded.
            let new = try await fixture.service.request("POST", "/v1/consents", json: body("new@example.com"))
            #expect(new.status == 503)
            #expect(new.headers["retry-after"] != nil)
        }
    }

    @Test("mistakes are answered with what was expected and leave no trace")
    func mistakes() async throws {
        try await ConsentFixture.with { fixture in
            let profile = try await fixture.makeProfile()
            let subject: JSON = ["profileId": .string(profile.description)]
            let good: [String: JSON] = [
                "subject": subject, "purpose": "marketing", "action": "grant", "source": "test",
            ]
            let stranger = ProfileID(UUIDv7.make(at: fixture.clock.now)).description
            let changes: [([String: JSON], Int)] = [
                (["purpose": "Marketing"], 400), (["purpose": "unheard-of"], 404), (["action": "maybe"], 400),
                (["source": "ada@example.com"], 400), (["occurredAt": "yesterday"], 400),
                (["subject": [:]], 400), (["subject": "x"], 400), (["extra": 1], 400),
                (["subject": ["profileId": .string(stranger)]], 404), (["evidence": []], 400),
                (["subject": ["profileId": "x", "identifier": [:]]], 400),
                (["subject": ["identifier": ["type": "email", "value": "nobody"]]], 400),
            ]
            for (change, status) in changes {
                let answer = try await fixture.service.request(
                    "POST", "/v1/consents", json: .object(good.merging(change) { $1 }))
                #expect(answer.status == status, "\(change)")
                #expect(answer.headers["content-type"] == "application/problem+json")
            }
            #expect(try await fixture.changes().isEmpty)
            let anonymous = try await fixture.service.request(
                "POST", "/v1/consents", json: .object(good), as: .none)
            #expect(anonymous.status == 401)
        }
    }

    @Test("purposes are listed, made, changed with their version, and kept from being overwritten blindly")
    func purposes() async throws {
        try await ConsentFixture.with { fixture in
            let service = fixture.service
            let listed = try await service.request("GET", "/v1/purposes")
            #expect(
                listed.json["items"]?.array?.compactMap { $0["id"]?.string } == [
                    "analytics", "marketing", "transactional",
                ])
            let page = try await service.request("GET", "/v1/purposes?limit=2")
            let cursor = try #require(page.json["nextCursor"]?.string)
            let rest = try await service.request("GET", "/v1/purposes?limit=2&cursor=\(cursor)")
            #expect(rest.json["items"]?.array?.count == 1)
            let body: JSON = ["name": "SMS", "legalBasis": "legitimateInterest", "textVersion": "v1"]
            let made = try await service.request("PUT", "/v1/purposes/sms", json: body)
            #expect(made.status == 201)
            let etag = try #require(made.headers["etag"])
            let same = try await service.request("PUT", "/v1/purposes/sms", json: body)
            #expect(same.status == 200)
            #expect(same.headers["etag"] == etag)
            let next: JSON = ["name": "SMS", "legalBasis": "consent", "textVersion": "v2"]
            let changed = try await service.request(
                "PUT", "/v1/purposes/sms", json: next, headers: ["If-Match": etag])
            #expect(changed.status == 200)
            #expect(changed.headers["etag"] != etag)
            let blind = try await service.request(
                "PUT", "/v1/purposes/sms", json: body, headers: ["If-Match": etag])
            #expect(blind.status == 412)
            let again = try await service.request(
                "PUT", "/v1/purposes/sms", json: body, headers: ["If-None-Match": "*"])
            #expect(again.status == 412)
            #expect(try await service.request("GET", "/v1/purposes/none").status == 404)
            #expect(try await service.request("PUT", "/v1/purposes/BAD", json: body).status == 400)
        }
    }
}
