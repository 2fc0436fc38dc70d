import ConsentDomain
import Foundation
import Models
import Postgres
import ServiceKit
import Streams
import TestSupport
import Testing

@Suite("People's own pages", .enabled(if: TestDatabase.isAvailable, "\(TestDatabase.howToEnable)"))
struct PreferencePageTests {
    @Test("a link shows what stands, in the language of the browser, and looking changes nothing")
    func showing() async throws {
        try await ConsentFixture.with { fixture in
            try await fixture.putPolicy()
            let profile = try await fixture.makeProfile()
            try await fixture.decide("grant", of: profile)
            let visitor = try await PageVisitor(fixture, of: profile)
            #expect(!visitor.path.contains(profile.description))
            let before = try await fixture.stored()
            for (header, lang, title) in [
                ("de-AT,en;q=0.5", "de", "Ihre Einstellungen"), ("fr", "fr", "Vos préférences"),
                ("es", "es", "Sus preferencias"), ("it", "en", "Your preferences"),
            ] {
                let page = try await visitor.get(headers: ["Accept-Language": header])
                #expect(page.status == 200)
                #expect(
                    page.text.contains("<html lang=\"\(lang)\">") && page.text.contains("<h1>\(title)</h1>"))
                #expect(page.headers["content-type"] == "text/html; charset=utf-8")
                #expect(page.headers["cache-control"] == "no-store")
                #expect(page.headers["referrer-policy"] == "no-referrer")
                let policy = try #require(page.headers["content-security-policy"])
                #expect(policy.hasPrefix("default-src 'none'; style-src 'sha256-"))
                #expect(!policy.contains("unsafe") && !page.text.contains("<script"))
                // Nothing of anybody else's, not even a link.
                #expect(page.text.firstMatch(of: /(src|href|action)="?(https?:)?\/\//) == nil)
                #expect(PageVisitor.isChecked("purpose.marketing", in: page.text))
                #expect(PageVisitor.isChecked("purpose.partners", in: page.text))
                #expect(PageVisitor.isChecked("frequency", "none", in: page.text))
                #expect(!page.text.contains("purpose.orders"))
                // What the policy says is text, whatever it looks like.
                #expect(page.text.contains("&lt;b&gt;Partners&lt;/b&gt; &amp; &quot;co&quot;"))
                #expect(page.text.contains("A &amp; B &lt;Ltd&gt;"))
                let question = try await visitor.get("/erasure", headers: ["Accept-Language": header])
                #expect(question.status == 200 && question.text.contains("name=\"understood\""))
            }
            let german = try await visitor.get("?lang=de", headers: ["Accept-Language": "fr"])
            #expect(german.text.contains("Sie dürfen mir schreiben."))
            #expect(german.text.contains("Sie haben am 14. November 2023 zugestimmt."))
            #expect(try await visitor.get("?lang=fr").text.contains("lang=\"en\">You may write to me."))
            #expect(try await fixture.stored() == before)
        }
    }

    @Test("each thing that is changed is one entry, with what was seen and from where; the rest is none")
    func saving() async throws {
        try await ConsentFixture.with { fixture in
            try await fixture.putPolicy()
            let profile = try await fixture.makeProfile()
            let visitor = try await PageVisitor(fixture, of: profile)
            let saved = try await visitor.post(
                "?lang=de",
                [
                    ("form", try await visitor.token()), ("purpose.marketing", "yes"),
                    ("purpose.partners", "yes"), ("channel.email", "yes"), ("frequency", "weekly"),
                ], headers: ["User-Agent": "Teapot/1.0"])
            #expect(saved.status == 303)
            #expect(saved.headers["cache-control"] == "no-store")
            let token = try #require(visitor.path.split(separator: "/").last)
            #expect(saved.headers["location"] == "\(token)?lang=de&done=saved")
            let entries = try await fixture.ledger(profile)
            #expect(entries.count == 3)
            let byPurpose = Dictionary(
                entries.map { ($0["purpose"]?.string ?? "", $0) }, uniquingKeysWith: { first, _ in first })
            #expect(byPurpose["marketing"]?["action"] == "grant")
            #expect(byPurpose["marketing"]?["textVersion"] == "2026-11")
            #expect(byPurpose["channel:sms"]?["action"] == "withdraw")
            #expect(byPurpose["frequency:weekly"]?["action"] == "grant")
            let requests = Set(entries.map { $0["evidence"]?["requestId"]?.string })
            #expect(requests.count == 1 && !requests.contains(nil))
            for entry in entries {
                #expect(entry["source"] == "preference-centre" && entry["locale"] == "de")
                #expect(entry["address"] == "127.0.0.0" && entry["userAgent"] == "Teapot/1.0")
                #expect(entry["evidence"]?["kind"] == "preferenceCentre")
            }
            let told = try await fixture.service.request("GET", "/v1/profiles/\(profile)/consents")
            #expect(told.json["wishes"] == ["refusedChannels": ["sms"], "frequency": "weekly"])
            #expect(told.json["consents"]?.array?.count == 3)

            fixture.clock.advance(by: .minutes(1))
            let page = try await visitor.get("?lang=de&done=saved").text
            #expect(page.contains("role=\"status\""))
            #expect(PageVisitor.isChecked("purpose.marketing", in: page))
            #expect(!PageVisitor.isChecked("channel.sms", in: page))
            #expect(PageVisitor.isChecked("frequency", "weekly", in: page))

            // The other way, and the objection to a legitimate interest.
            let back = try await visitor.post([
                ("form", try await visitor.token()), ("channel.email", "yes"), ("channel.sms", "yes"),
                ("frequency", "none"),
            ])
            #expect(back.status == 303)
            let later = try await fixture.ledger(profile).dropFirst(3).map {
                "\($0["purpose"]?.string ?? "") \($0["action"]?.string ?? "")"
            }
            #expect(
                Set(later) == [
                    "marketing withdraw", "partners withdraw", "channel:sms grant",
                    "frequency:weekly withdraw",
                ])
            #expect(try await fixture.standing(profile) == "withdrawn")
            #expect(try await fixture.service.request("GET", "/v1/audit/verify").json["valid"] == true)
        }
    }

    @Test("what is merged is shown and changed as one person")
    func merging() async throws {
        try await ConsentFixture.with { fixture in
            try await fixture.putPolicy()
            let (phone, account) = (try await fixture.makeProfile(), try await fixture.makeProfile())
            let visitor = try await PageVisitor(fixture, of: phone)
            try await fixture.decide("grant", of: account)
            #expect(!PageVisitor.isChecked("purpose.marketing", in: try await visitor.get().text))
            try await fixture.merge(phone, into: account)
            // Also before consent has followed the merge.
            #expect(PageVisitor.isChecked("purpose.marketing", in: try await visitor.get().text))
            try await fixture.drain()
            fixture.clock.advance(by: .minutes(1))
            let saved = try await visitor.post([
                ("form", try await visitor.token()), ("purpose.partners", "yes"), ("channel.email", "yes"),
                ("channel.sms", "yes"), ("frequency", "none"),
            ])
            #expect(saved.status == 303)
            #expect(try await fixture.standing(account) == "withdrawn")
        }
    }

    @Test("a form that is out of date, sent again or another's changes nothing")
    func outdated() async throws {
        try await ConsentFixture.with { fixture in
            try await fixture.putPolicy()
            let (profile, other) = (try await fixture.makeProfile(), try await fixture.makeProfile())
            let visitor = try await PageVisitor(fixture, of: profile)
            let stranger = try await PageVisitor(fixture, of: other)
            let fields = [("purpose.marketing", "yes"), ("channel.email", "yes"), ("frequency", "none")]
            let token = try await visitor.token()
            // Something was said elsewhere since the page was opened.
            try await fixture.decide("withdraw", of: profile)
            var before = try await fixture.stored()
            let late = try await visitor.post([("form", token)] + fields)
            #expect(late.status == 409 && late.text.contains("role=\"alert\""))
            for wrong in [
                try await stranger.token(), try await visitor.token("/unsubscribe"), "", "AAAA",
                String(repeating: "A", count: 28),
                String(token.dropLast()) + (token.hasSuffix("A") ? "B" : "A"),
            ] {
                let answer = try await visitor.post([("form", wrong)] + fields)
                #expect(answer.status == 409)
                // Whatever was wrong with it; but for the tokens of the new forms.
                #expect(Self.withoutTokens(answer.text) == Self.withoutTokens(late.text))
            }
            #expect(try await visitor.post(fields).status == 409)
            for action in ["/unsubscribe", "/data"] {
                #expect(try await visitor.post(action, [("form", token)]).status == 409)
            }
            #expect(
                try await visitor.post("/erasure", [("form", token), ("understood", "yes")]).status == 409)
            #expect(try await fixture.stored() == before)
            // A page that was open for too long.
            let old = try await visitor.token()
            fixture.clock.advance(by: .hours(24))
            #expect(try await visitor.post([("form", old)] + fields).status == 409)
            #expect(try await fixture.stored() == before)
            // Sent again once it was saved and the person has said no since.
            let good = try await visitor.token()
            #expect(try await visitor.post([("form", good)] + fields).status == 303)
            fixture.clock.advance(by: .minutes(1))
            try await fixture.decide("withdraw", of: profile)
            before = try await fixture.stored()
            #expect(try await visitor.post([("form", good)] + fields).status == 409)
            // A policy that was changed meanwhile: a purpose that wasn't on the page was not left unticked.
            let shown = try await visitor.token()
            #expect(
                try await fixture.service.request(
                    "PUT", "/v1/purposes/novel",
                    json: ["name": "New", "legalBasis": "legitimateInterest", "textVersion": "1"]
                ).status == 201)
            #expect(try await visitor.post([("form", shown)] + fields).status == 409)
            #expect(try await fixture.standing(profile, "novel") == nil)
            #expect(try await fixture.stored() == before)
        }
    }

    private static func withoutTokens(_ html: String) -> String {
        html.replacing(/name="form" value="[^"]*"/, with: "")
    }

    @Test("unsubscribing from everything says no to everything but what goes with a contract")
    func unsubscribing() async throws {
        try await ConsentFixture.with { fixture in
            try await fixture.putPolicy()
            let profile = try await fixture.makeProfile()
            try await fixture.decide("grant", of: profile)
            fixture.clock.advance(by: .minutes(1))
            let visitor = try await PageVisitor(fixture, of: profile)
            let done = try await visitor.post(
                "/unsubscribe", [("form", try await visitor.token("/unsubscribe"))])
            #expect(done.status == 303)
            #expect(done.headers["location"]?.hasPrefix("../") == true)
            #expect(try await fixture.standing(profile) == "withdrawn")
            #expect(try await fixture.standing(profile, "partners") == "withdrawn")
            #expect(try await fixture.standing(profile, "orders") == nil)
            // Doing it again is no entry more.
            let count = try await fixture.ledger(profile).count
            _ = try await visitor.post("/unsubscribe", [("form", try await visitor.token("/unsubscribe"))])
            #expect(try await fixture.ledger(profile).count == count)
            // An older grant that comes in late undoes nothing.
            try await fixture.decide("grant", "partners", of: profile, at: fixture.clock.now - .hours(1))
            #expect(try await fixture.standing(profile, "partners") == "withdrawn")
        }
    }

    @Test("asking for one's data files one request, which nobody has to verify any more")
    func data() async throws {
        try await ConsentFixture.with { fixture in
            try await fixture.putPolicy()
            let profile = try await fixture.makeProfile()
            let visitor = try await PageVisitor(fixture, of: profile)
            for _ in 1...2 {
                let filed = try await visitor.post("/data", [("form", try await visitor.token("/data"))])
                #expect(filed.status == 303 && filed.headers["location"]?.hasSuffix("done=data") == true)
            }
            var open = try await Self.requests(fixture)
            #expect(open.count == 1)
            let request = try #require(open.first)
            #expect(request["type"] == "access" && request["state"] == "inProgress")
            #expect(request["profileId"]?.string == profile.description)
            let page = try await visitor.get("?lang=en&done=data").text
            #expect(page.contains(try #require(request["id"]?.string)))
            #expect(page.contains("by 14 December 2023 at the latest"))
            #expect(try await fixture.service.published(.privacyRequests).count == 1)
            let steps = try await fixture.service.request(
                "GET", "/v1/privacy-requests/\(request["id"]?.string ?? "")"
            ).json["steps"]?.array
            #expect(steps?.contains { $0["note"]?.string?.hasPrefix("preference-link") == true } == true)

            // One that support has filed and that waits for the person goes on.
            let other = try await fixture.makeProfile()
            let waiting = try await fixture.service.request(
                "POST", "/v1/privacy-requests",
                json: ["type": "access", "subject": ["profileId": .string(other.description)]])
            #expect(waiting.json["state"] == "verifying")
            let second = try await PageVisitor(fixture, of: other)
            _ = try await second.post("/data", [("form", try await second.token("/data"))])
            open = try await Self.requests(fixture)
            #expect(open.count == 2 && open.allSatisfy { $0["state"] == "inProgress" })
        }
    }

    private static func requests(_ fixture: ConsentFixture) async throws -> [JSON] {
        try await fixture.service.request("GET", "/v1/privacy-requests").json["items"]?.array ?? []
    }

    @Test("erasing asks first, happens by POST alone, and leaves nothing to choose")
    func erasing() async throws {
        try await ConsentFixture.with { fixture in
            try await fixture.putPolicy()
            let profile = try await fixture.makeProfile()
            let visitor = try await PageVisitor(fixture, of: profile)
            let token = try await visitor.token("/erasure", on: "/erasure")
            let unsure = try await visitor.post("/erasure?lang=fr", [("form", token)])
            #expect(unsure.status == 422 && unsure.text.contains("role=\"alert\""))
            #expect(try await Self.requests(fixture).isEmpty)
            for _ in 1...2 {
                let filed = try await visitor.post("/erasure", [("form", token), ("understood", "yes")])
                #expect(filed.status == 200 && filed.text.contains("role=\"status\""))
            }
            let requests = try await Self.requests(fixture)
            #expect(requests.count == 1)
            #expect(requests.first?["type"] == "erasure" && requests.first?["state"] == "inProgress")
            let page = try await visitor.get()
            #expect(page.status == 200 && !page.text.contains("<form"))
            let before = try await fixture.stored()
            #expect(try await visitor.post([("form", token), ("frequency", "none")]).status == 409)
            #expect(try await visitor.post("/data", [("form", token)]).status == 409)
            #expect(try await fixture.stored() == before)
            // Once it is done the link leads to nobody.
            try await fixture.owner.execute("UPDATE profiles.profile SET erased_at = \(fixture.clock.now)")
            #expect(try await visitor.get().status == 404)
        }
    }
}
