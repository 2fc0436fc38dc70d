import ConsentDomain
import Foundation
import Models
import Postgres
import ProfileStore
import Sealing
import ServiceKit
import Streams
import TestSupport
import Testing

@testable import ConsentServer

@Suite("Double opt-in", .enabled(if: TestDatabase.isAvailable, "\(TestDatabase.howToEnable)"))
struct OptInTests {
    private static let form: JSON = [
        "purposes": ["marketing"],
        "languages": [
            "en": [
                "title": "News & <more>", "text": "You may write to me.", "mailSubject": "Please confirm",
            ],
            "de": ["title": "Neues", "text": "Sie dürfen mir schreiben.", "mailSubject": "Bitte bestätigen"],
        ],
    ]

    private func put(_ fixture: ConsentFixture) async throws {
        try await fixture.putPolicy()
        let made = try await fixture.service.request("PUT", "/v1/opt-in-forms/news", json: Self.form)
        #expect(made.status == 201)
    }

    private func mails(_ fixture: ConsentFixture) async throws -> [JSON] {
        try await fixture.service.outboxBodies(pathContaining: "/v1/notices")
    }

    /// The path of the link in a mail.
    private func link(_ mail: JSON?) throws -> String {
        let text = try #require(mail?["text"]?.string)
        return try #require(text.firstMatch(of: /\/opt-in\/news\/[A-Za-z0-9_-]{64}/)).0.description
    }

    @Test("who asks for it and confirms by the link in the mail has granted it, with evidence of both steps")
    func wholeWay() async throws {
        try await ConsentFixture.with { fixture in
            try await put(fixture)
            let profile = try await fixture.makeProfile()
            try await fixture.know(try #require(Identifier(.email, "ada@example.com")), as: profile)
            let page = PageVisitor(fixture, path: "/opt-in/news")
            let before = try await fixture.stored()
            let shown = try await page.get(headers: ["Accept-Language": "fr,de;q=0.5"])
            #expect(shown.status == 200 && shown.text.contains("News &amp; &lt;more&gt;"))
            #expect(try await page.get("?lang=de").text.contains("Sie dürfen mir schreiben."))
            #expect(try await fixture.stored() == before)

            // The same answer for whoever the address is of.
            let known = try await page.post(
                "?lang=de", [("email", " Ada@Example.com ")], headers: ["User-Agent": "First/1"])
            let unknown = try await page.post("?lang=de", [("email", "nobody@example.com")])
            #expect(known.status == 200 && unknown.status == 200)
            #expect(known.text == unknown.text)
            let sent = try await mails(fixture)
            #expect(Set(sent.map { $0["address"]?.string }) == ["ada@example.com", "nobody@example.com"])
            #expect(sent.allSatisfy { $0["subject"] == "Bitte bestätigen" })
            #expect(try await fixture.ledger(profile).isEmpty)
            let mail = sent.first { $0["address"] == "ada@example.com" }
            let path = try link(mail)
            #expect(mail?["html"]?.string?.contains("Sie dürfen mir schreiben.") == true)
            // Neither the address nor the secret is anywhere.
            for table in ["consent.opt_in", "consent.outbox", "consent.deadline"] {
                let rows = try await fixture.owner.query(
                    "SELECT row_to_json(t)::text AS row FROM \(unsafe: table) t"
                ).map { try $0.get("row", as: String.self) }.joined()
                #expect(!rows.contains("ada@example") && !rows.contains(String(path.suffix(40))))
            }

            // A program that follows links confirms nothing.
            fixture.clock.advance(by: .hours(1))
            let visitor = PageVisitor(fixture, path: path)
            for _ in 1...3 {
                let question = try await visitor.get()
                #expect(question.status == 200 && question.text.contains("<html lang=\"de\">"))
            }
            #expect(try await visitor.post([]).status == 404)
            #expect(try await fixture.ledger(profile).isEmpty)
            let confirmed = try await visitor.post([("confirm", "yes")], headers: ["User-Agent": "Second/1"])
            #expect(confirmed.status == 200 && confirmed.text.contains("Es ist bestätigt."))
            #expect(try await fixture.standing(profile) == "granted")
            let entry = try #require(try await fixture.ledger(profile).first)
            #expect(entry["source"] == "double-opt-in" && entry["locale"] == "de")
            #expect(entry["textVersion"] == "opt-in-form/news/1")
            #expect(entry["address"] == "127.0.0.0" && entry["userAgent"] == "Second/1")
            #expect(entry["evidence"]?["requested"]?["userAgent"] == "First/1")
            #expect(entry["evidence"]?["requested"]?["at"]?.string == ConsentFixture.start.rfc3339)
            #expect(entry["occurredAt"]?.string == fixture.clock.now.rfc3339)

            // It is good once, also where it is sent many times at once.
            let refused = try await PageVisitor(fixture, path: "/opt-in/news/none").get()
            #expect(refused.status == 404)
            for answer in [try await visitor.get(), try await visitor.post([("confirm", "yes")])] {
                #expect(answer.status == 404 && answer.text == refused.text)
            }
            #expect(try await fixture.ledger(profile).count == 1)
        }
    }

    @Test("of many confirmations at once one counts")
    func once() async throws {
        try await ConsentFixture.with { fixture in
            try await put(fixture)
            let profile = try await fixture.makeProfile()
            try await fixture.know(try #require(Identifier(.email, "ada@example.com")), as: profile)
            _ = try await PageVisitor(fixture, path: "/opt-in/news").post([("email", "ada@example.com")])
            let visitor = PageVisitor(fixture, path: try link(try await mails(fixture).first))
            let statuses = try await withThrowingTaskGroup(of: Int.self) { group in
                for _ in 0..<8 {
                    group.addTask { try await visitor.post([("confirm", "yes")]).status }
                }
                return try await group.reduce(into: []) { $0.append($1) }
            }
            #expect(statuses.filter { $0 == 200 }.count == 1)
            #expect(try await fixture.ledger(profile).count == 1)
        }
    }

    @Test("a link that was changed, has expired or is of another form confirms nothing, all with one answer")
    func links() async throws {
        try await ConsentFixture.with { fixture in
            try await put(fixture)
            var generator = seededGenerator()
            let other = try await fixture.service.request("PUT", "/v1/opt-in-forms/other", json: Self.form)
            #expect(other.status == 201)
            let profile = try await fixture.makeProfile()
            try await fixture.know(try #require(Identifier(.email, "ada@example.com")), as: profile)
            for address in ["ada@example.com", "eve@example.com"] {
                _ = try await PageVisitor(fixture, path: "/opt-in/news").post([("email", address)])
            }
            let paths = try await mails(fixture).map { try link($0) }
            let path = try #require(paths.first)
            let (token, second) = (String(path.suffix(64)), String(try #require(paths.last).suffix(64)))
            let alphabet = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_")
            var wrong = [
                "/opt-in/other/\(token)", "/opt-in/none/\(token)", "/opt-in/news/\(token)A",
                "/opt-in/news/\(token.dropLast())",
                // The id of one with the secret of another.
                "/opt-in/news/\(token.prefix(22))\(second.dropFirst(22))",
            ]
            let characters = Array(token)
            for index in characters.indices {
                var changed = characters
                repeat {
                    changed[index] = alphabet.randomElement(using: &generator) ?? "A"
                } while changed
                    == characters
                wrong.append("/opt-in/news/\(String(changed))")
            }
            let refused = try await PageVisitor(fixture, path: "/opt-in/news/none").get().text
            for path in wrong {
                let visitor = PageVisitor(fixture, path: path)
                for answer in [try await visitor.get(), try await visitor.post([("confirm", "yes")])] {
                    let isSame = answer.text == refused
                    #expect(answer.status == 404 && isSame, "\(path)")
                }
            }
            #expect(try await fixture.ledger(profile).isEmpty)
            fixture.clock.advance(by: .hours(48))
            let late = PageVisitor(fixture, path: path)
            #expect(try await late.get().status == 404)
            #expect(try await late.post([("confirm", "yes")]).status == 404)
            #expect(try await fixture.ledger(profile).isEmpty)
            // What has expired is forgotten.
            let now = fixture.clock.now
            let expired = try await fixture.service.context.pool.transaction { transaction in
                return try await OptInStore.expire(now, limit: 10, in: transaction)
            }
            #expect(expired == 2)
            #expect(try await fixture.owner.query("SELECT 1 FROM consent.opt_in").isEmpty)
            #expect(try await fixture.owner.query("SELECT 1 FROM consent.deadline").isEmpty)
        }
    }

    @Test("nobody is sent more than a few mails a day through forms, and no network sends too many forms")
    func limits() async throws {
        try await ConsentFixture.with { fixture in
            try await put(fixture)
            let page = PageVisitor(fixture, path: "/opt-in/news")
            var answers: Set<String> = []
            for _ in 0..<5 { answers.insert(try await page.post([("email", "victim@example.com")]).text) }
            #expect(answers.count == 1)
            #expect(try await mails(fixture).count == OptInLimit.mailsToAddress)
            for number in 5..<OptInLimit.fromSource {
                #expect(try await page.post([("email", "n\(number)@example.com")]).status == 200)
            }
            let much = try await page.post([("email", "another@example.com")])
            #expect(much.status == 429 && much.headers["retry-after"] == "3600")
            fixture.clock.advance(by: .hours(1))
            #expect(try await page.post([("email", "another@example.com")]).status == 200)
            // Those without a mail don't count against the address: it can't be kept from asking for ever.
            fixture.clock.advance(by: .hours(23))
            let before = try await mails(fixture).count
            _ = try await page.post([("email", "victim@example.com")])
            #expect(try await mails(fixture).count == before + 1)
        }
    }

    @Test("of forms sent at once no more are taken, and one address does not use up what its network has")
    func limitsAtOnce() async throws {
        try await ConsentFixture.with(settings: ["MARTLET_TRUSTED_PROXIES": "127.0.0.1"]) { fixture in
            try await put(fixture)
            let page = PageVisitor(fixture, path: "/opt-in/news")
            let statuses = try await withThrowingTaskGroup(of: Int.self) { group in
                for number in 0..<(2 * OptInLimit.fromSource) {
                    group.addTask {
                        try await page.post(
                            [("email", "n\(number)@example.com")],
                            headers: ["X-Forwarded-For": "203.0.113.7"]
                        ).status
                    }
                }
                return try await group.reduce(into: []) { $0.append($1) }
            }
            #expect(statuses.count { $0 == 200 } == OptInLimit.fromSource)
            let neighbour = try await page.post(
                [("email", "other@example.com")], headers: ["X-Forwarded-For": "203.0.113.8"])
            #expect(neighbour.status == 200)
        }
    }

    @Test("who confirms is written to again by the channel that they had refused")
    func channel() async throws {
        try await ConsentFixture.with { fixture in
            try await put(fixture)
            let profile = try await fixture.makeProfile()
            try await fixture.know(try #require(Identifier(.email, "ada@example.com")), as: profile)
            try await say("channel:email", .withdraw, profile, fixture)
            fixture.clock.advance(by: .minutes(1))
            _ = try await PageVisitor(fixture, path: "/opt-in/news").post([("email", "ada@example.com")])
            let path = try link(try await mails(fixture).first)
            let confirmed = try await PageVisitor(fixture, path: path).post([("confirm", "yes")])
            #expect(confirmed.status == 200)
            #expect(try await standing("marketing", profile, fixture) == "granted")
            #expect(try await standing("channel:email", profile, fixture) == "granted")
        }
    }

    @Test("a link of before a withdrawal grants nothing, and one of before another's confirmation neither")
    func superseded() async throws {
        try await ConsentFixture.with { fixture in
            try await put(fixture)
            let profile = try await fixture.makeProfile()
            try await fixture.know(try #require(Identifier(.email, "ada@example.com")), as: profile)
            var visitors: [PageVisitor] = []
            for _ in 0..<3 {
                _ = try await PageVisitor(fixture, path: "/opt-in/news").post([("email", "ada@example.com")])
                fixture.clock.advance(by: .minutes(1))
                visitors.append(PageVisitor(fixture, path: try link(try await mails(fixture).last)))
            }
            #expect(try await visitors[1].post([("confirm", "yes")]).status == 200)
            #expect(try await visitors[0].post([("confirm", "yes")]).status == 404)
            try await say("marketing", .withdraw, profile, fixture)
            #expect(try await visitors[2].post([("confirm", "yes")]).status == 404)
            #expect(try await standing("marketing", profile, fixture) == "withdrawn")
        }
    }

    @Test("a form that is deleted is gone with its links, and the next one of its name has another version")
    func deleting() async throws {
        try await ConsentFixture.with { fixture in
            try await put(fixture)
            let profile = try await fixture.makeProfile()
            try await fixture.know(try #require(Identifier(.email, "ada@example.com")), as: profile)
            _ = try await PageVisitor(fixture, path: "/opt-in/news").post([("email", "ada@example.com")])
            let visitor = PageVisitor(fixture, path: try link(try await mails(fixture).first))
            let path = "/v1/opt-in-forms/news"
            let blind = try await fixture.service.request(
                "DELETE", path, json: nil, headers: ["If-Match": "\"7\""])
            #expect(blind.status == 412)
            #expect(try await fixture.service.request("DELETE", path).status == 204)
            #expect(try await fixture.service.request("DELETE", path).status == 404)
            #expect(try await fixture.service.request("GET", path).status == 404)
            #expect(
                try await fixture.service.request("GET", "/v1/opt-in-forms").json["items"]?.array?.isEmpty
                    == true)
            #expect(try await visitor.get().status == 404)
            fixture.clock.advance(by: .minutes(1))
            let made = try await fixture.service.request("PUT", path, json: Self.form)
            #expect(made.status == 201 && made.json["version"] == 2)
            #expect(try await visitor.post([("confirm", "yes")]).status == 404)
            #expect(try await fixture.ledger(profile).isEmpty)
        }
    }

    private func say(
        _ name: String, _ action: ConsentAction, _ profile: ProfileID, _ fixture: ConsentFixture
    ) async throws {
        let now = fixture.clock.now
        let profiles = ProfileStore(
            key: IdentifierKey(secret: ServiceHarness.secret), vault: fixture.service.context.vault)
        let recorder = ConsentRecorder(
            profiles: profiles, policies: PolicyReader { try ConsentPolicy(json: $0) })
        _ = try await fixture.service.context.pool.transaction { transaction in
            try await recorder.record(
                [
                    NewDecision(
                        profileID: profile,
                        signal: ConsentSignal(
                            purpose: name, action: action, source: "test", textVersion: nil,
                            occurredAt: now, evidence: [:]))
                ], at: now, in: transaction)
        }
    }

    private func standing(
        _ name: String, _ profile: ProfileID, _ fixture: ConsentFixture
    ) async throws -> String? {
        try await fixture.owner.query(
            "SELECT state FROM profiles.consent_state WHERE profile_id = \(profile) AND purpose = \(name)"
        ).first?.get("state")
    }

    @Test("what is no address is told so, and no body breaks the page")
    func bodies() async throws {
        try await ConsentFixture.with { fixture in
            try await put(fixture)
            let page = PageVisitor(fixture, path: "/opt-in/news")
            for address in [
                "", "ada", "@", "a@", "a b@example.com", String(repeating: "a", count: 300) + "@x.org",
            ] {
                let answer = try await page.post([("email", address)])
                #expect(answer.status == 422 && answer.text.contains("role=\"alert\""), "\(address)")
                #expect(address.count < 5 || !answer.text.contains(address))
            }
            #expect(try await page.post(body: Array(repeating: 97, count: 65 << 10)).status == 413)
            let thousands = (0..<5_000).map { "f\($0)=1" }.joined(separator: "&")
            #expect(try await page.post(body: Array(thousands.utf8)).status == 400)
            let other = try await page.post(
                body: Array("{}".utf8), headers: ["Content-Type": "application/json"])
            #expect(other.status == 415)
            #expect(
                try await PageVisitor(fixture, path: "/opt-in/none").post([("email", "a@b.org")]).status
                    == 404)
            #expect(try await mails(fixture).isEmpty)
        }
    }

    @Test("forms are made, changed with their version, and listed; mistakes are told")
    func forms() async throws {
        try await ConsentFixture.with { fixture in
            try await put(fixture)
            let service = fixture.service
            let path = "/v1/opt-in-forms/news"
            let same = try await service.request("PUT", path, json: Self.form)
            #expect(same.status == 200 && same.json["version"] == 1)
            var words = Self.form.object ?? [:]
            words["languages"] = ["es": ["title": "t", "text": "x", "mailSubject": "s"]]
            let changed = try await service.request(
                "PUT", path, json: .object(words), headers: ["If-Match": "\"1\""])
            #expect(changed.status == 200 && changed.json["version"] == 2)
            let blind = try await service.request(
                "PUT", path, json: Self.form, headers: ["If-Match": "\"1\""])
            #expect(blind.status == 412)
            #expect(try await service.request("GET", path).json == changed.json)
            #expect(try await service.request("GET", "/v1/opt-in-forms").json["items"]?.array?.count == 1)
            #expect(try await service.request("GET", "/v1/opt-in-forms/none").status == 404)
            let languages: JSON = ["en": ["title": "t", "text": "x", "mailSubject": "s"]]
            for wrong in [
                [:], ["purposes": [], "languages": languages], ["purposes": ["marketing"], "languages": [:]],
                ["purposes": ["none"], "languages": languages],
                ["purposes": ["orders"], "languages": languages],
                [
                    "purposes": ["marketing"],
                    "languages": ["tlh": ["title": "t", "text": "x", "mailSubject": "s"]],
                ],
                [
                    "purposes": ["marketing"],
                    "languages": ["en": ["title": "t", "text": "x", "mailSubject": ""]],
                ],
                ["purposes": ["marketing"], "languages": languages, "more": 1],
            ] as [JSON] {
                #expect(try await service.request("PUT", path, json: wrong).status == 400, "\(wrong.compact)")
            }
            #expect(try await service.request("PUT", "/v1/opt-in-forms/X", json: Self.form).status == 400)
            #expect(try await service.request("PUT", path, json: Self.form, as: .none).status == 401)
        }
    }

    @Test("an erasure takes what the person asked for by forms with it")
    func erasing() async throws {
        try await ConsentFixture.with { fixture in
            try await put(fixture)
            let profile = try await fixture.makeProfile()
            try await fixture.know(try #require(Identifier(.email, "ada@example.com")), as: profile)
            for address in ["ada@example.com", "eve@example.com"] {
                _ = try await PageVisitor(fixture, path: "/opt-in/news").post([("email", address)])
            }
            let now = fixture.clock.now
            let report = try await fixture.service.context.pool.transaction { transaction in
                try await ConsentPrivacy.forget([profile], at: now, in: transaction)
            }
            #expect(report["optIns"] == 1)
            #expect(try await fixture.owner.query("SELECT 1 FROM consent.opt_in").count == 1)
            #expect(try await fixture.owner.query("SELECT 1 FROM consent.deadline").count == 1)
        }
    }
}
