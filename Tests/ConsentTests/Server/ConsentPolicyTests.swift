import ConsentDomain
import Foundation
import Models
import Postgres
import TestSupport
import Testing

@Suite("The consent policy", .enabled(if: TestDatabase.isAvailable, "\(TestDatabase.howToEnable)"))
struct ConsentPolicyTests {
    static let policy = """
        purposes:
          marketing:
            name: Marketing messages
            legalBasis: consent
            directMarketing: true
            channels: [email]
            lasts: P13M
            text:
              version: "2027-01"
              languages:
                en: You may write to me about products.
                de-CH: Sie dürfen mir über Produkte schreiben.
          ads:
            name: Audiences for advertisers
            legalBasis: legitimateInterest
            saleOrSharing: true
            recipient: Example Ads Ltd
            jurisdictions: [US, EU]
            text: {version: "1"}
            signals:
              tcf: {purposes: [4, 3], vendors: [755]}
              gpp: [sale, sharing]
              consentMode: [ad_user_data]
          transactional: {name: Orders, legalBasis: contract, text: {version: "1"}}
        requires:
          events:
            Product Viewed: {purposes: [ads], otherwise: pseudonymous}
            type:page: [marketing]
          journeys:
            winback: [marketing, ads]
          recommendations: {"*": [ads]}
        """

    private func put(
        _ fixture: ConsentFixture, _ text: String, ifMatch: String? = nil
    ) async throws -> ServiceHarness.Answer {
        try await fixture.service.request(
            "PUT", "/v1/consent-policy", body: Array(text.utf8),
            headers: ["Content-Type": "application/yaml"].merging(ifMatch.map { ["If-Match": $0] } ?? [:]) {
                $1
            })
    }

    @Test("a policy is stored as it was written, every version of it, and never over another's change")
    func versions() async throws {
        try await ConsentFixture.with { fixture in
            let first = try await fixture.service.request("GET", "/v1/consent-policy")
            #expect(first.status == 200)
            #expect(first.headers["etag"] == "\"1\"")
            #expect(first.json[path: "policy.purposes.marketing.legalBasis"]?.string == "consent")
            let stored = try await put(fixture, Self.policy, ifMatch: "\"1\"")
            #expect(stored.status == 200, "\(stored.json)")
            #expect(stored.headers["etag"] == "\"2\"")
            #expect(stored.json["source"]?.string == Self.policy)
            #expect(stored.json[path: "policy.purposes.ads.signals.tcf.purposes"] == [3, 4])
            #expect(
                stored.json["policy"]?["requires"]?["events"]?["type:page"]?["otherwise"]?.string == "count")
            #expect(stored.json["policy"]?["requires"]?["recommendations"] == ["*": ["ads"]])
            #expect(try await put(fixture, Self.policy).headers["etag"] == "\"2\"")
            #expect(try await put(fixture, Self.policy, ifMatch: "\"1\"").status == 412)
            let old = try await fixture.service.request("GET", "/v1/consent-policy/versions/1")
            #expect(old.json["policy"] == first.json["policy"])
            let listed = try await fixture.service.request("GET", "/v1/consent-policy/versions?limit=1")
            #expect(listed.json["items"]?.array?.map { $0["version"]?.integer } == [2])
            let cursor = try #require(listed.json["nextCursor"]?.string)
            let rest = try await fixture.service.request(
                "GET", "/v1/consent-policy/versions?cursor=\(cursor)")
            #expect(rest.json["items"]?.array?.map { $0["version"]?.integer } == [1])
            #expect(try await fixture.service.request("GET", "/v1/consent-policy/versions/9").status == 404)
            // The purposes are those of the policy, and changing one keeps what it says beyond.
            let purposes = try await fixture.service.request("GET", "/v1/purposes")
            #expect(
                purposes.json["items"]?.array?.compactMap { $0["id"]?.string } == [
                    "ads", "marketing", "transactional",
                ])
            let changed = try await fixture.service.request(
                "PUT", "/v1/purposes/marketing",
                json: ["name": "News", "legalBasis": "consent", "textVersion": "2027-01"])
            #expect(changed.status == 200)
            let third = try await fixture.service.request("GET", "/v1/consent-policy")
            #expect(third.headers["etag"] == "\"3\"")
            #expect(third.json[path: "policy.purposes.marketing.name"]?.string == "News")
            #expect(third.json[path: "policy.purposes.marketing.lasts"]?.string == "P13M")
            #expect(third.json[path: "policy.requires.journeys.winback"] == ["ads", "marketing"])
        }
    }

    @Test(
        "a mistake is told with its place, and nothing changes",
        arguments: [
            ("lasts: P13M", "lasts: 13 months", 7, "purposes.marketing.lasts"),
            ("legalBasis: contract", "legalBasis: because", 24, "purposes.transactional.legalBasis"),
            ("winback: [marketing, ads]", "winback: [marketing, adds]", 30, "requires.journeys.winback.1"),
            ("jurisdictions: [US, EU]", "jurisdictions: [US, Europe]", 18, "purposes.ads.jurisdictions.1"),
            ("otherwise: pseudonymous", "otherwise: full", 27, "requires.events.Product Viewed.otherwise"),
            ("recipient: Example", "recipent: Example", 17, "purposes.ads.recipent"),
            ("vendors: [755]", "vendors: [0]", 21, "purposes.ads.signals.tcf.vendors"),
            ("de-CH: Sie", "german!: Sie", 12, "purposes.marketing.text.languages.german!"),
            ("[US, EU]", "[US, EU", 19, ""),
            ("{\"*\": [ads]}", "{*all : [ads]}", 31, ""),
        ])
    func mistakes(right: String, wrong: String, line: Int64, path: String) async throws {
        try await ConsentFixture.with { fixture in
            let text = Self.policy.replacingOccurrences(of: right, with: wrong)
            #expect(text != Self.policy)
            let answer = try await put(fixture, text)
            #expect(answer.status == 400)
            let mistake = answer.json["errors"]?.array?.first
            #expect(mistake?["path"]?.string == path)
            #expect(path.isEmpty || mistake?["line"]?.integer == line, "\(answer.json)")
            let now = try await fixture.service.request("GET", "/v1/consent-policy")
            #expect(now.headers["etag"] == "\"1\"")
        }
    }

    @Test("a consent that has lasted its time permits nothing any more, and says when that was")
    func expiry() async throws {
        try await ConsentFixture.with { fixture in
            _ = try await put(fixture, Self.policy)
            let profile = try await fixture.makeProfile()
            try await fixture.decide("grant", of: profile)
            func marketing() async throws -> JSON? {
                try await fixture.service.request("GET", "/v1/profiles/\(profile)/consents")
                    .json["consents"]?.array?.first { $0["purpose"]?.string == "marketing" }
            }
            let fresh = try await marketing()
            #expect(fresh?["permitted"]?.bool == true)
            // Granted on 14 November 2023, for 13 months.
            #expect(fresh?["expiresAt"]?.string == "2024-12-14T22:13:20.000Z")
            fixture.clock.advance(by: .days(396) - .milliseconds(1))
            #expect(try await marketing()?["permitted"]?.bool == true)
            fixture.clock.advance(by: .milliseconds(1))
            let old = try await marketing()
            #expect(old?["permitted"]?.bool == false)
            #expect(old?["reason"]?.string == "consent-expired")
            #expect(old?["policyVersion"]?.integer == 2)
        }
    }
}
