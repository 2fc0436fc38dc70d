import Models
import Postgres
import ServiceKit
import TestSupport
import Testing

@testable import ConsentServer

@Suite("Retention", .enabled(if: TestDatabase.isAvailable, "\(TestDatabase.howToEnable)"))
struct RetentionTests {
    private func put(
        _ fixture: ConsentFixture, _ text: String, ifMatch: String? = nil
    ) async throws -> ServiceHarness.Answer {
        try await fixture.service.request(
            "PUT", "/v1/retention", body: Array(text.utf8),
            headers: ["Content-Type": "application/yaml"].merging(ifMatch.map { ["If-Match": $0] } ?? [:]) {
                $1
            })
    }

    @Test("a retention policy is stored as it was written, every version, and never over another's change")
    func versions() async throws {
        try await ConsentFixture.with { fixture in
            let first = try await fixture.service.request("GET", "/v1/retention")
            #expect(first.headers["etag"] == "\"1\"")
            #expect(first.json["policy"] == [:])
            let text = """
                keep:
                  rawEvents: 30d
                  timelineEvents:
                    default: 730d
                    purposes: {analytics: 90d}
                """
            let stored = try await put(fixture, text, ifMatch: "\"1\"")
            #expect(stored.status == 200, "\(stored.text)")
            #expect(stored.headers["etag"] == "\"2\"")
            #expect(stored.json["source"]?.string == text)
            #expect(try await put(fixture, text).headers["etag"] == "\"2\"")
            #expect(try await put(fixture, "{}", ifMatch: "\"1\"").status == 412)
            #expect(
                try await fixture.service.request("GET", "/v1/retention?version=1").json["policy"] == [:])
            #expect(try await fixture.service.request("GET", "/v1/retention?version=9").status == 404)
        }
    }

    @Test("a mistake is told with its line and column, and changes nothing")
    func mistakes() async throws {
        try await ConsentFixture.with { fixture in
            let late = try await put(fixture, "keep:\n  rawEvents: 30d\n  messages: 12d\n")
            #expect(late.status == 400)
            #expect(late.json["errors"]?.array?.first?["line"] == 3)
            #expect(late.json["errors"]?.array?.first?["column"] == 3)
            #expect(late.json["errors"]?.array?.first?["path"] == "keep.messages")
            let unknown = try await put(
                fixture, "keep:\n  rawEvents: 7d\n  timelineEvents:\n    purposes:\n      nonsense: 30d\n")
            #expect(unknown.json["errors"]?.array?.first?["line"] == 5)
            #expect(try await fixture.service.request("GET", "/v1/retention").headers["etag"] == "\"1\"")
        }
    }

    @Test("what services have let go of is recorded once, and listed with the latest first")
    func runs() async throws {
        try await ConsentFixture.with { fixture in
            func report(_ number: Int, as caller: ServiceHarness.Credential = .service(.delivery))
                async throws -> Int
            {
                let id = UUIDv7.derived(at: fixture.clock.now, from: "run \(number)").hyphenated
                return try await fixture.service.request(
                    "PUT", "/v1/retention/runs/\(id)",
                    json: [
                        "class": "messages", "policyVersion": 2, "boundary": "2026-01-01T00:00:00Z",
                        "rows": .integer(Int64(number)), "startedAt": .string(fixture.clock.now.rfc3339),
                        "endedAt": .string((fixture.clock.now + .seconds(number)).rfc3339),
                    ], as: caller
                ).status
            }
            for number in [1, 2, 3, 3] { #expect(try await report(number) == 204) }
            #expect(try await report(0) == 400)
            #expect([401, 403].contains(try await report(4, as: .none)))
            var (seen, cursor): ([Int64], String?) = ([], nil)
            repeat {
                let page = try await fixture.service.request(
                    "GET",
                    "/v1/retention/runs?class=messages&limit=2" + (cursor.map { "&cursor=\($0)" } ?? ""))
                #expect(page.status == 200)
                seen += page.json["items"]?.array?.compactMap { $0["rows"]?.integer } ?? []
                #expect(page.json["items"]?.array?.allSatisfy { $0["service"] == "delivery" } == true)
                cursor = page.json["nextCursor"]?.string
            } while cursor != nil
            #expect(seen == [3, 2, 1])
            #expect(
                try await fixture.service.request("GET", "/v1/retention/runs?class=quarantine").json["items"]
                    == [])
            #expect(try await fixture.service.request("GET", "/v1/retention/runs?class=ledger").status == 400)
        }
    }

    @Test(
        "requests go when their time is over, what was found for them before that, and the ledger of consents never"
    )
    func sweeps() async throws {
        try await ConsentFixture.with { fixture in
            let profile = try await fixture.makeProfile()
            for action in ["grant", "withdraw", "grant"] {
                #expect(try await fixture.decide(action, of: profile).status == 201)
                fixture.clock.advance(by: .seconds(1))
            }
            func ask(_ type: String) async throws -> JSON {
                try await fixture.service.request(
                    "POST", "/v1/privacy-requests",
                    json: [
                        "type": .string(type), "subject": ["profileId": .string(profile.description)],
                        "verifiedBy": ["method": "telephone"],
                    ]
                ).json
            }
            let access = try await ask("access")
            let restriction = try await ask("restriction")
            let open = try await ask("portability")
            let id = try #require(access["id"]?.string)
            for service in [
                "ingestion", "identity", "consent", "segmentation", "recommendation", "journeys", "delivery",
            ] {
                let name = try #require(ServiceName(rawValue: service))
                let answer = try await fixture.service.request(
                    "PUT", "/v1/privacy-requests/\(id)/results/\(service)",
                    json: ["status": "completed", "result": ["found": "something"]], as: .service(name))
                #expect(answer.status == 200, "\(answer.text)")
            }
            #expect(
                try await put(
                    fixture,
                    "keep: {privacyRequests: 731d, privacyExports: 30d, rawEvents: 7d, timelineEvents: 7d}"
                ).status == 200)
            let worker = try fixture.service.retention(limit: 2)
            fixture.clock.advance(by: .days(29))
            #expect(try await worker.sweep() == 0)
            fixture.clock.advance(by: .days(2))
            #expect(try await worker.sweep() == 7)
            #expect(try await worker.sweep() == 0)
            fixture.clock.advance(by: .days(731))
            #expect(try await worker.sweep() == 1)
            #expect(try await fixture.service.request("GET", "/v1/privacy-requests/\(id)").status == 404)
            for request in [restriction, open] {
                let path = "/v1/privacy-requests/\(try #require(request["id"]?.string))"
                #expect(try await fixture.service.request("GET", path).status == 200)
            }
            fixture.clock.advance(by: .days(36_500))
            _ = try await worker.sweep()
            #expect(try await fixture.owner.query("SELECT FROM consent.ledger_entry").count == 3)
            #expect(try await fixture.owner.query("SELECT FROM consent.ledger_subject").count == 3)
            let proof = try await fixture.service.request("GET", "/v1/audit/verify")
            #expect(proof.json["valid"] == true, "\(proof.text)")
            #expect(try await fixture.service.letGo() == ["privacyExports": 7, "privacyRequests": 1])
        }
    }
}
