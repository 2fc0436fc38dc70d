import ConsentDomain
@testable import ConsentServer
import Foundation
import Models
import Postgres
import ServiceKit
import TestSupport
import Testing

@Suite("Hostile links and forms", .enabled(if: TestDatabase.isAvailable, "\(TestDatabase.howToEnable)"))
struct PageFuzzTests {
    @Test("a link that was changed, has expired, or leads to nobody is answered the same, to the byte")
    func links() async throws {
        try await ConsentFixture.with { fixture in
            try await fixture.putPolicy()
            var generator = seededGenerator()
            let profile = try await fixture.makeProfile()
            let good = try await PageVisitor(fixture, of: profile)
            let token = try #require(good.path.split(separator: "/").last.map(String.init))
            #expect(try await good.get().status == 200)

            // Who was erased, who never was, and a link that has run out.
            let (erased, expired) = (try await fixture.makeProfile(), try await fixture.makeProfile())
            let gone = try await PageVisitor(fixture, of: erased)
            try await fixture.owner.execute(
                "UPDATE profiles.profile SET erased_at = \(fixture.clock.now) WHERE profile_id = \(erased)")
            let short = try await PageVisitor(
                fixture, of: expired, expiresAt: fixture.clock.now + .minutes(1))
            fixture.clock.advance(by: .minutes(1))
            let links = PersonLinks(pagesURL: "", tokens: fixture.service.context.tokens)
            let nobody = try links.token(
                .init(
                    profileID: ProfileID(UUIDv7.make(at: fixture.clock.now)),
                    expiresAt: fixture.clock.now + .hours(1)))
            let elsewhere = PersonLinks(
                pagesURL: "", tokens: try ServiceTokens(secret: String(repeating: "another secret", count: 3))
            )
            let forged = try elsewhere.token(
                .init(profileID: profile, expiresAt: fixture.clock.now + .hours(1)))
            var wrong = [
                gone.path, short.path, "/preferences/\(nobody)", "/preferences/\(forged)", "/preferences/x",
                "/preferences/\(token)A", "/preferences/\(token.dropLast())",
                "/preferences/\(String(repeating: "A", count: 67))", "/preferences/\(token)%00",
                "/preferences/\(profile)",
                "/preferences/\(String(repeating: "A", count: 4_000))",
            ]
            // Each character changed to another, the last one to each that decodes to the same bytes.
            let alphabet = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_")
            let characters = Array(token)
            for index in characters.indices {
                var changed = characters
                repeat {
                    changed[index] = alphabet.randomElement(using: &generator) ?? "A"
                } while changed
                    == characters
                wrong.append("/preferences/\(String(changed))")
            }
            for last in alphabet where last != characters.last {
                wrong.append("/preferences/\(String(characters.dropLast()))\(last)")
            }
            let before = try await fixture.stored()
            let expected = try await PageVisitor(fixture, path: "/preferences/none").get()
            #expect(expected.status == 404)
            for path in wrong {
                let visitor = PageVisitor(fixture, path: path)
                for answer in [
                    try await visitor.get(), try await visitor.get("/erasure"),
                    try await visitor.post([("form", "x"), ("frequency", "none")]),
                    try await visitor.post("/unsubscribe", [("form", "x")]),
                    try await visitor.post("/erasure", [("understood", "yes")]),
                ] {
                    #expect(answer.status == 404, "\(path)")
                    let isSame = answer.body == expected.body
                    #expect(isSame, "\(path)")
                }
            }
            // What isn't UTF-8 is no path at all.
            #expect(try await PageVisitor(fixture, path: "/preferences/%FF%FE").get().status == 404)
            #expect(try await fixture.stored() == before)
            #expect(try await good.get().status == 200)
        }
    }

    @Test("links are made for whom there is, by whoever may, and for a year at most")
    func making() async throws {
        try await ConsentFixture.with { fixture in
            let profile = try await fixture.makeProfile()
            try await fixture.know(try #require(Identifier(.email, "ada@example.com")), as: profile)
            let subject: JSON = ["identifier": ["type": "email", "value": "Ada@example.com"]]
            let made = try await fixture.service.request(
                "POST", "/v1/preference-links", json: ["subject": subject, "language": "de"])
            #expect(made.status == 201)
            let url = try #require(made.json["url"]?.string)
            #expect(url.hasSuffix("?lang=de") && !url.contains("ada"))
            #expect(made.json["expiresAt"]?.string == (fixture.clock.now + .hours(30 * 24)).rfc3339)
            for (change, status) in [
                (["subject": ["identifier": ["type": "email", "value": "none@example.com"]]], 404),
                (["expiresAt": .string(fixture.clock.now.rfc3339)], 400),
                (["expiresAt": .string((fixture.clock.now + .hours(367 * 24)).rfc3339)], 400),
                (["language": "tlh"], 400), (["extra": 1], 400), (["subject": nil], 400),
            ] as [([String: JSON?], Int)] {
                var body: [String: JSON] = ["subject": subject]
                for (key, value) in change { body[key] = value }
                let answer = try await fixture.service.request(
                    "POST", "/v1/preference-links", json: .object(body))
                #expect(answer.status == status, "\(change)")
            }
            let anonymous = try await fixture.service.request(
                "POST", "/v1/preference-links", json: ["subject": subject], as: .none)
            #expect(anonymous.status == 401)
            try await fixture.owner.execute("UPDATE profiles.profile SET erased_at = \(fixture.clock.now)")
            let erased = try await fixture.service.request(
                "POST", "/v1/preference-links", json: ["subject": subject])
            #expect(erased.status == 410)
        }
    }

    @Test("no body of a form breaks a page, and none that isn't one of ours changes anything")
    func forms() async throws {
        try await ConsentFixture.with { fixture in
            try await fixture.putPolicy()
            var generator = seededGenerator()
            let profile = try await fixture.makeProfile()
            let visitor = try await PageVisitor(fixture, of: profile)
            let token = try await visitor.token()
            let good = "form=\(token)&frequency=none&channel.email=yes&channel.sms=yes&purpose.partners=yes"
            let before = try await fixture.stored()
            let thousands = (0..<5_000).map { "f\($0)=1" }.joined(separator: "&")
            for (body, status) in [
                (String(repeating: "a", count: 64 << 10) + "=1", 413), (thousands, 400),
                ("form=\(token)&form=\(token)&frequency=none", 400), ("form", 400), ("=x", 400),
                ("form=%", 400), ("form=%G0", 400), ("form=%2", 400), ("form=%FF", 400), ("form=%00", 400),
                ("\u{0}", 400), (good + "&purpose.orders=yes", 400), (good + "&purpose.none=yes", 400),
                (good + "&purpose.marketing=no", 400), (good + "&channel.pigeon=yes", 400),
                (good + "&extra=1", 400), ("form=\(token)", 400), ("form=\(token)&frequency=hourly", 400),
                ("{\"form\": \"\(token)\"}", 400), ("", 409),
            ] {
                let answer = try await visitor.post(body: Array(body.utf8))
                #expect(answer.status == status, "\(body.prefix(80))")
                #expect(answer.headers["content-type"] == "text/html; charset=utf-8")
                #expect(answer.headers["content-security-policy"] != nil)
            }
            for type in ["application/json", "multipart/form-data; boundary=x", "text/plain", ""] {
                let answer = try await visitor.post(body: Array(good.utf8), headers: ["Content-Type": type])
                #expect(answer.status == 415, "\(type)")
            }
            let packed = try await visitor.post(
                body: Array(good.utf8), headers: ["Content-Encoding": "gzip"])
            #expect(packed.status == 415)
            #expect(try await fixture.stored() == before)
            // Pieces of good ones, cut and mixed.
            let pieces = [
                "form=", token, "&", "=", "%", "%00", "%E2%82", "+", "frequency=", "none", "weekly",
                "purpose.marketing=yes", "channel.email=yes", "understood=yes", "é", ";", "\r\n",
            ]
            for _ in 0..<300 {
                let body = (0..<Int.random(in: 0...12, using: &generator)).map { _ in
                    pieces.randomElement(using: &generator) ?? ""
                }.joined()
                let action = ["", "/unsubscribe", "/data", "/erasure"].randomElement(using: &generator) ?? ""
                let answer = try await visitor.post(action, body: Array(body.utf8))
                #expect([303, 400, 409, 422].contains(answer.status), "\(action) \(body)")
                if answer.status == 303 {
                    // By chance it was a form of ours.
                    #expect(action.isEmpty && body.contains(token) && body.contains("frequency="))
                }
            }
            #expect(try await fixture.owner.query("SELECT 1 FROM consent.privacy_request").isEmpty)
            // The one that is ours still does what it says.
            let last = try await visitor.post(
                body: Array(good.replacing(token, with: try await visitor.token()).utf8))
            #expect(last.status == 303)
        }
    }

    @Test("forms are read strictly")
    func decoding() throws {
        var generator = seededGenerator()
        for _ in 0..<500 {
            let alphabet = ["a", "=", "&", "+", "%", " ", "é", "\u{1F600}", "\n", "."]
            let fields = (0..<Int.random(in: 0...6, using: &generator)).map { number in
                (
                    "f\(number)\(alphabet.randomElement(using: &generator) ?? "")",
                    (0..<Int.random(in: 0...5, using: &generator)).map { _ in
                        alphabet.randomElement(using: &generator) ?? ""
                    }.joined()
                )
            }
            let form = try FormBody(Array(PageVisitor.encoded(fields).utf8))
            #expect(form.fields == Dictionary(fields, uniquingKeysWith: { first, _ in first }))
        }
        for _ in 0..<2_000 {
            let bytes = (0..<Int.random(in: 0...40, using: &generator)).map { _ in
                UInt8.random(in: 0...255, using: &generator)
            }
            _ = try? FormBody(bytes)
        }
    }

    @Test("what is interpolated into a page is text")
    func escaping() {
        let hostile = "<script>alert('x')</script>\"&\u{0}\u{1}"
        let page: HTML = "<p title=\"\(hostile)\">\(hostile)</p>"
        #expect(!page.text.contains("<script") && !page.text.contains("\u{0}"))
        #expect(
            page.text.contains("&lt;script&gt;alert(&#39;x&#39;)&lt;/script&gt;&quot;&amp;\u{FFFD}\u{FFFD}"))
        let piece: HTML = "<b>\(1)</b>"
        let whole: HTML = "\(piece)\([piece, piece])\(attribute: "checked", if: true)"
        #expect(whole.text == "<b>1</b><b>1</b><b>1</b> checked")
    }
}
