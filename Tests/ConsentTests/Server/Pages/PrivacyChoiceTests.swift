import Foundation
import Models
import Postgres
import ServiceKit
import TestSupport
import Testing

@testable import ConsentServer

@Suite("Privacy choices", .enabled(if: TestDatabase.isAvailable, "\(TestDatabase.howToEnable)"))
struct PrivacyChoiceTests {
    private static let policy: JSON = [
        "purposes": [
            "ads": [
                "name": "Audiences", "legalBasis": "legitimateInterest", "saleOrSharing": true,
                "text": ["version": "1"],
            ],
            "health": [
                "name": "Health", "legalBasis": "consent", "sensitiveData": true, "text": ["version": "1"],
            ],
            "marketing": ["name": "Marketing", "legalBasis": "consent", "text": ["version": "1"]],
        ]
    ]

    private func visitor(_ fixture: ConsentFixture, _ path: String = "/privacy-choices") -> PageVisitor {
        PageVisitor(fixture, path: path)
    }

    private func token(_ page: ServiceHarness.Answer) throws -> String {
        try #require(page.text.firstMatch(of: /name="form" value="([^"]+)"/)).1.description
    }

    private func choose(
        _ fixture: ConsentFixture, browser: String? = nil, _ fields: [(String, String)],
        headers: [String: String] = [:]
    ) async throws -> ServiceHarness.Answer {
        let page = try await visitor(fixture).get(browser.map { "?anonymousId=\($0)" } ?? "")
        var all = [("form", try token(page))] + fields
        if let browser { all.append(("anonymousId", browser)) }
        return try await visitor(fixture).post(all, headers: headers)
    }

    @Test(
        "whoever opts out is opted out when they are answered, by their browser and by their address, and the desk has the request"
    )
    func optsOut() async throws {
        try await ConsentFixture.with { fixture in
            try await fixture.putPolicy(Self.policy)
            let (device, ada) = (try await fixture.makeProfile(), try await fixture.makeProfile())
            try await fixture.know(try #require(Identifier(.anonymousID, "browser-1")), as: device)
            try await fixture.know(try #require(Identifier(.email, "ada@example.com")), as: ada)
            let before = try await fixture.stored()
            for _ in 1...2 {
                #expect(try await visitor(fixture).get("?anonymousId=browser-1&lang=de").status == 200)
            }
            #expect(try await fixture.stored() == before)

            let answer = try await choose(
                fixture, browser: "browser-1", [("sale", "yes"), ("email", " Ada@Example.com ")])
            #expect(answer.status == 200 && answer.text.contains("role=\"status\""), "\(answer.text)")
            #expect(answer.headers["cache-control"] == "no-store")
            for profile in [device, ada] {
                #expect(try await fixture.standing(profile, "ads") == "withdrawn")
                #expect(try await fixture.standing(profile, "health") == nil)
                #expect(try await fixture.standing(profile, "marketing") == nil)
            }
            let requests =
                try await fixture.service.request("GET", "/v1/privacy-requests").json["items"]?.array ?? []
            #expect(requests.count == 2)
            for request in requests {
                #expect(request["type"] == "optOut" && request["regime"] == "ccpa")
                #expect(request["state"] == "completed")
            }
            // Who says it again has said it.
            fixture.clock.advance(by: .seconds(5))
            #expect(try await choose(fixture, browser: "browser-1", [("sale", "yes")]).status == 200)
            #expect(
                try await fixture.service.request("GET", "/v1/privacy-requests").json["items"]?.array?.count
                    == 2)
            // What is sensitive is limited by itself.
            #expect(
                try await choose(fixture, [("limit", "yes"), ("email", "ada@example.com")]).status == 200)
            #expect(try await fixture.standing(ada, "health") == "withdrawn")
            #expect(try await fixture.standing(device, "health") == nil)
        }
    }

    @Test(
        "whoever is not known yet is answered to the byte like everybody else, and is opted out when they are known"
    )
    func unknown() async throws {
        try await ConsentFixture.with { fixture in
            try await fixture.putPolicy(Self.policy)
            let ada = try await fixture.makeProfile()
            try await fixture.know(try #require(Identifier(.email, "ada@example.com")), as: ada)
            let page = try await visitor(fixture).get()
            let form = try token(page)
            func ask(_ address: String) async throws -> ServiceHarness.Answer {
                try await visitor(fixture).post([("form", form), ("sale", "yes"), ("email", address)])
            }
            let (known, unknown) = (try await ask("ada@example.com"), try await ask("eve@example.com"))
            #expect(known.status == 200 && known.text == unknown.text && known.status == unknown.status)
            let calls = try await fixture.service.outboxBodies(pathContaining: "/v1/consents")
            #expect(calls.count == 1)
            let call = try #require(calls.first)
            #expect(call["subject"]?["identifier"]?["value"] == "eve@example.com")
            // What was written down can be recorded as soon as there is somebody.
            let eve = try await fixture.makeProfile()
            try await fixture.know(try #require(Identifier(.email, "eve@example.com")), as: eve)
            let recorded = try await fixture.service.request(
                "POST", "/v1/consents", json: call, as: .service(.consent))
            #expect(recorded.status == 201, "\(recorded.text)")
            #expect(try await fixture.standing(eve, "ads") == "withdrawn")
            #expect(try await fixture.ledger(eve).first?["source"] == "privacy-choices")
        }
    }

    @Test("Global Privacy Control is said to be heeded, and only where the browser sends it")
    func privacyControl() async throws {
        try await ConsentFixture.with { fixture in
            try await fixture.putPolicy(Self.policy)
            let with = try await visitor(fixture).get(headers: ["Sec-GPC": "1"])
            #expect(with.text.contains("Global Privacy Control"))
            for value in ["0", "true", ""] {
                let without = try await visitor(fixture).get(headers: ["Sec-GPC": value])
                #expect(!without.text.contains("Global Privacy Control"))
            }
            #expect(!(try await visitor(fixture).get().text.contains("Global Privacy Control")))
        }
    }

    @Test("where nothing is sold and nothing is sensitive the page says so, and has no form")
    func nothingSold() async throws {
        try await ConsentFixture.with { fixture in
            try await fixture.putPolicy([
                "purposes": ["news": ["name": "News", "legalBasis": "consent", "text": ["version": "1"]]]
            ])
            let page = try await visitor(fixture).get()
            #expect(page.text.contains("We do not sell or share") && !page.text.contains("<form"))
            #expect(page.text.contains("privacy-choices/requests"))
        }
    }

    @Test("a form of another site, of another browser, or of yesterday chooses nothing")
    func foreign() async throws {
        try await ConsentFixture.with { fixture in
            try await fixture.putPolicy(Self.policy)
            let device = try await fixture.makeProfile()
            try await fixture.know(try #require(Identifier(.anonymousID, "browser-1")), as: device)
            let form = try token(try await visitor(fixture).get("?anonymousId=browser-1"))
            let fields = [("form", form), ("sale", "yes"), ("anonymousId", "browser-1")]
            let before = try await fixture.stored()
            for headers in [
                ["Sec-Fetch-Site": "cross-site"], ["Sec-Fetch-Site": "same-site"],
                ["Origin": "https://evil.example"], ["Origin": "http://127.0.0.1:1"],
            ] {
                #expect(try await visitor(fixture).post(fields, headers: headers).status == 403, "\(headers)")
            }
            // A cookie that a browser sends along says nothing of whom a form is about.
            let nobody = try token(try await visitor(fixture).get())
            #expect(
                try await visitor(fixture).post(
                    [("form", nobody), ("sale", "yes")], headers: ["Cookie": "ajs_anonymous_id=browser-1"]
                ).status == 422)
            for (token, browser) in [
                (nobody, "browser-1"), (form, "browser-2"), ("", "browser-1"),
                (String(form.dropLast()), "browser-1"),
            ] {
                let answer = try await visitor(fixture).post([
                    ("form", token), ("sale", "yes"), ("anonymousId", browser),
                ])
                #expect(answer.status == 409 && answer.text.contains("role=\"alert\""))
            }
            fixture.clock.advance(by: .hours(24))
            #expect(try await visitor(fixture).post(fields).status == 409)
            #expect(try await fixture.stored() == before)
            // Our own page sends neither.
            let fresh = try token(try await visitor(fixture).get("?anonymousId=browser-1"))
            #expect(
                try await visitor(fixture).post(
                    [("form", fresh), ("sale", "yes"), ("anonymousId", "browser-1")],
                    headers: ["Origin": "null", "Sec-Fetch-Site": "same-origin"]
                ).status == 200)
            #expect(try await fixture.standing(device, "ads") == "withdrawn")
        }
    }

    @Test(
        "the page takes the browser's name from the SDK's cookie or the link, and puts nothing of them on it unescaped"
    )
    func browsers() async throws {
        try await ConsentFixture.with { fixture in
            try await fixture.putPolicy(Self.policy)
            let cookie = try await visitor(fixture).get(headers: [
                "Cookie": "a=b; ajs_anonymous_id=%22id-1%22; c"
            ])
            #expect(cookie.text.contains("name=\"anonymousId\" value=\"id-1\""))
            let hostile = try await visitor(fixture).get(
                "?anonymousId=%22%3E%3Cscript%3Ealert(1)%3C%2Fscript%3E&lang=fr")
            #expect(hostile.status == 200 && !hostile.text.contains("<script"))
            for query in [
                "?anonymousId=", "?anonymousId=%00", "?anonymousId=" + String(repeating: "x", count: 300),
            ] {
                let page = try await visitor(fixture).get(query)
                #expect(page.status == 200 && !page.text.contains("name=\"anonymousId\""), "\(query)")
            }
        }
    }

    @Test("mistakes in the form are told on the page, and change nothing")
    func mistakes() async throws {
        try await ConsentFixture.with { fixture in
            try await fixture.putPolicy(Self.policy)
            let form = try token(try await visitor(fixture).get())
            let before = try await fixture.stored()
            let cases: [([(String, String)], Int)] = [
                ([("sale", "yes")], 422), ([("sale", "yes"), ("email", "nobody")], 422),
                ([("email", "ada@example.com")], 422), ([("sale", "no"), ("email", "a@b.example")], 400),
                ([("sale", "yes"), ("email", "a@b.example"), ("more", "yes")], 400),
            ]
            for (fields, status) in cases {
                let answer = try await visitor(fixture).post([("form", form)] + fields)
                #expect(answer.status == status, "\(fields)")
            }
            #expect(try await visitor(fixture).post(body: Array("form=%".utf8)).status == 400)
            #expect(
                try await visitor(fixture).post(
                    body: Array("{}".utf8), headers: ["Content-Type": "application/json"]
                ).status == 415)
            #expect(try await fixture.stored() == before)
        }
    }

    @Test("of too many forms from one address the last are put off, whoever they are about")
    func limits() async throws {
        try await ConsentFixture.with { fixture in
            try await fixture.putPolicy(Self.policy)
            let form = try token(try await visitor(fixture).get())
            var statuses: [Int] = []
            for number in 0..<22 {
                let answer = try await visitor(fixture).post([
                    ("form", form), ("sale", "yes"), ("email", "n\(number)@example.com"),
                ])
                statuses.append(answer.status)
                if answer.status == 429 { #expect(answer.headers["retry-after"] == "3600") }
            }
            #expect(statuses == Array(repeating: 200, count: 20) + [429, 429])
        }
    }

    // MARK: Knowing and deleting

    private func mailedPath(_ fixture: ConsentFixture, _ address: String) async throws -> String {
        let mail = try #require(
            try await fixture.service.outboxBodies(pathContaining: "/v1/notices").first {
                $0["address"]?.string == address
            })
        let text = try #require(mail["text"]?.string)
        return try #require(text.firstMatch(of: /\/privacy-choices\/requests\/[A-Za-z0-9_-]+/)).0.description
    }

    private func ask(
        _ fixture: ConsentFixture, _ kind: String, _ address: String
    ) async throws -> ServiceHarness.Answer {
        let page = visitor(fixture, "/privacy-choices/requests")
        let form = try token(try await page.get())
        return try await page.post([("form", form), ("kind", kind), ("email", address)])
    }

    @Test(
        "who asks to know, or to have deleted, is asked by a mail first; then the desk has the request, due 45 days after the form",
        arguments: ["know", "delete"])
    func requests(kind: String) async throws {
        try await ConsentFixture.with { fixture in
            try await fixture.putPolicy(Self.policy)
            let ada = try await fixture.makeProfile()
            try await fixture.know(try #require(Identifier(.email, "ada@example.com")), as: ada)
            func requests() async throws -> [JSON] {
                try await fixture.service.request("GET", "/v1/privacy-requests").json["items"]?.array ?? []
            }
            let known = try await ask(fixture, kind, "ada@example.com")
            let path = try await mailedPath(fixture, "ada@example.com")
            let unknown = try await ask(fixture, kind, "eve@example.com")
            let other = try await mailedPath(fixture, "eve@example.com")
            #expect(known.status == 200 && known.text == unknown.text)
            #expect(try await requests().isEmpty)
            fixture.clock.advance(by: .hours(30))
            // A program that follows links asks for nothing.
            for _ in 1...2 {
                let question = try await visitor(fixture, path).get()
                #expect(question.status == 200 && question.text.contains("<button type=\"submit\""))
            }
            #expect(try await visitor(fixture, path).post([]).status == 404)
            #expect(try await requests().isEmpty)
            let confirmed = try await visitor(fixture, path).post([("confirm", "yes")])
            #expect(confirmed.status == 200, "\(confirmed.text)")
            let request = try #require(try await requests().first)
            #expect(request["type"]?.string == kind && request["regime"] == "ccpa")
            #expect(request["profileId"]?.string == ada.description)
            #expect(request["requestedAt"]?.string == ConsentFixture.start.rfc3339)
            #expect(request["dueAt"]?.string == (ConsentFixture.start + .days(45)).rfc3339)
            #expect(confirmed.text.contains(try #require(request["id"]?.string)))
            // Good once, and for no other page; who is not known is told so where only they can read it.
            let refused = try await visitor(fixture, "/privacy-choices/requests/none").get()
            #expect(refused.status == 404)
            for answer in [
                try await visitor(fixture, path).get(),
                try await visitor(fixture, path).post([("confirm", "yes")]),
                try await visitor(fixture, "/opt-in/news/\(other.suffix(64))").get(),
            ] {
                #expect(answer.status == 404 && answer.text == refused.text)
            }
            let nobody = try await visitor(fixture, other).post([("confirm", "yes")])
            #expect(nobody.status == 200 && nobody.text.contains("We know nothing"))
            #expect(try await requests().count == 1)
        }
    }

    @Test("a link that was changed or has run out asks for nothing, all with one answer")
    func links() async throws {
        try await ConsentFixture.with { fixture in
            try await fixture.putPolicy(Self.policy)
            var generator = seededGenerator()
            _ = try await ask(fixture, "delete", "ada@example.com")
            let path = try await mailedPath(fixture, "ada@example.com")
            let refused = try await visitor(fixture, "/privacy-choices/requests/none").get()
            let before = try await fixture.stored()
            let alphabet = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_%~")
            for _ in 0..<200 {
                var token = Array(path.suffix(64))
                for _ in 0..<Int.random(in: 1...3, using: &generator) {
                    let place = Int.random(in: 0..<token.count, using: &generator)
                    token[place] = alphabet.randomElement(using: &generator) ?? "A"
                }
                if Int.random(in: 0..<5, using: &generator) == 0 { token.removeLast() }
                guard String(token) != path.suffix(64) else { continue }
                let page = visitor(fixture, "/privacy-choices/requests/\(String(token))")
                for answer in [try await page.get(), try await page.post([("confirm", "yes")])] {
                    #expect([400, 404].contains(answer.status), "\(String(token))")
                }
            }
            #expect(try await fixture.stored() == before)
            fixture.clock.advance(by: .hours(48))
            let late = try await visitor(fixture, path).post([("confirm", "yes")])
            #expect(late.status == 404 && late.text == refused.text)
        }
    }

    @Test("whatever a form is made of, it is answered with a page and reveals nothing")
    func fuzz() async throws {
        try await ConsentFixture.with { fixture in
            try await fixture.putPolicy(Self.policy)
            var generator = seededGenerator()
            let form = try token(try await visitor(fixture).get("?anonymousId=b"))
            let names = ["form", "anonymousId", "email", "sale", "limit", "kind", "confirm", "", "é"]
            let values = [
                form, "b", "ada@example.com", "yes", "know", "delete", "", "\u{0}", "<b>", "%", "&",
            ]
            for _ in 0..<300 {
                let fields = (0..<Int.random(in: 0...6, using: &generator)).map { _ in
                    (
                        names.randomElement(using: &generator) ?? "",
                        values.randomElement(using: &generator) ?? ""
                    )
                }
                let path =
                    ["/privacy-choices", "/privacy-choices/requests", "/privacy-choices/requests/x"]
                    .randomElement(using: &generator) ?? "/privacy-choices"
                var body = Array(PageVisitor.encoded(fields).utf8)
                if Int.random(in: 0..<4, using: &generator) == 0, !body.isEmpty {
                    body[Int.random(in: 0..<body.count, using: &generator)] = UInt8.random(
                        in: 0...255, using: &generator)
                }
                let answer = try await visitor(fixture, path).post(body: body)
                #expect(
                    [200, 400, 404, 409, 422, 429].contains(answer.status),
                    "\(answer.status) \(path) \(fields)")
                #expect(answer.text.hasPrefix("<!DOCTYPE html>") && !answer.text.contains("<b>"))
            }
        }
    }
}
