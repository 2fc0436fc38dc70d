import DeliveryDomain
import Foundation
import Models
import Postgres
import ServiceKit
import TestSupport
import Testing

@Suite(
    .enabled(if: TestDatabase.isAvailable, Comment(rawValue: TestDatabase.howToEnable)),
    .serialized, .timeLimit(.minutes(5)))
struct SendingTests {
    @Test("an intent becomes a mail, and its opens, clicks and unsubscription come back")
    func wholeWay() async throws {
        try await DeliveryFixture.with { fixture in
            try await fixture.put(
                html:
                    "<body><a href=\"https://shop.example/{{ trigger.sku }}?a=1&amp;b=2\">{{ profile.traits.name }}</a>"
                    + "{% for item in recommendations %}{{ item.sku }}{% endfor %}"
                    + "<a href='{{ unsubscribe_url }}'>stop</a></body>")
            let jo = try await fixture.makeProfile(email: "Jo@Example.org", traits: ["name": "<Jo>"])
            let intent = try await fixture.want(jo, variables: ["trigger": ["sku": "A1"]])
            let message = try await fixture.message(intent, in: "delivered")
            #expect(message["attempts"]?.integer == 1)
            #expect(message["evidence"]?["recommendations"]?["problem"]?.string != nil)
            let facts = try SendFacts(json: try #require(message["evidence"]?["facts"]))
            guard case .send(_, let consent) = SendDecision.decide(facts) else {
                Issue.record("the evidence doesn't lead to the send")
                return
            }
            #expect(consent?.profileID == jo)
            #expect(try await fixture.events("Email Delivered").count == 1)

            let mail = try fixture.file(message)
            #expect(mail.contains("To: jo@example.org\r\n"))
            #expect(mail.contains("&lt;Jo&gt;"))
            #expect(!mail.contains("shop.example"))
            let paths = DeliveryFixture.trackingPaths(mail)
            let pixel = try #require(paths.first { $0.hasPrefix("/t/o/") })
            let link = try #require(paths.first { $0.hasPrefix("/t/c/") })
            let unsubscribe = try #require(paths.first { $0.hasPrefix("/t/u/") })

            for _ in 1...3 {
                let answer = try await fixture.service.request("GET", pixel, as: .none)
                #expect(answer.status == 200 && answer.headers["content-type"] == "image/gif")
            }
            let opened = try await fixture.events("Email Opened")
            #expect(opened.count == 1)
            #expect(opened.first?["profileId"]?.string == jo.description)
            #expect(opened.first?["properties"]?["campaign_id"]?.string == "welcome")

            let click = try await click(fixture, link)
            #expect(click == "https://shop.example/A1?a=1&b=2")
            #expect(
                try await fixture.events("Email Link Clicked").first?["properties"]?["link_url"]?.string
                    == click)

            let page = try await fixture.service.request("GET", unsubscribe, as: .none)
            #expect(page.status == 200 && page.text.contains("<form method=\"post\">"))
            #expect(try await fixture.events("Unsubscribed").isEmpty)
            for _ in 1...2 {
                let done = try await fixture.service.request(
                    "POST", unsubscribe, body: Array("List-Unsubscribe=One-Click".utf8),
                    headers: ["Content-Type": "application/x-www-form-urlencoded"], as: .none)
                #expect(done.status == 200)
            }
            #expect(try await fixture.events("Unsubscribed").count == 1)
            let withdrawals = try await fixture.calls(to: .consent)
            #expect(withdrawals.count == 1 && withdrawals.first?["action"] == "withdraw")

            let second = try await fixture.message(try await fixture.want(jo), in: "suppressed")
            #expect(second["reason"] == "consentWithdrawn")
            let notSent = try await fixture.events("Email Not Sent")
            #expect(notSent.first?["properties"]?["reason"]?.string == "consentWithdrawn")
            let shown = try await fixture.service.request(
                "GET", "/v1/messages?profileId=\(jo)&status=delivered")
            #expect(shown.json["items"]?.array?.count == 1)
            let engagement =
                try await fixture.service.request(
                    "GET", "/v1/messages/\(message["messageId"]?.string ?? "")"
                ).json["engagement"]?.array ?? []
            #expect(engagement.first { $0["kind"] == "open" }?["count"]?.integer == 3)
            let left = try await fixture.owner.query("SELECT 1 FROM delivery.deadline")
            #expect(left.isEmpty)
        }
    }

    /// Where the link leads, without following it.
    private func click(_ fixture: DeliveryFixture, _ path: String) async throws -> String? {
        let answer = try await fixture.service.request("GET", path, as: .none)
        #expect(answer.status == 302)
        return answer.headers["location"]
    }

    @Test("nobody is written to without the consent that the purpose needs, whichever profile withdrew it")
    func consent() async throws {
        try await DeliveryFixture.with { fixture in
            try await fixture.put()
            func reason(_ profile: ProfileID, purpose: String = "marketing", template: String = "hello")
                async throws
                -> String?
            {
                let intent = try await fixture.want(profile, template: template, purpose: purpose)
                return try await fixture.message(intent, in: "delivered", "suppressed")["reason"]?.string
            }
            let silent = try await fixture.makeProfile(email: "silent@example.org", consent: nil)
            #expect(try await reason(silent) == "noConsent")
            #expect(try await reason(silent, purpose: "transactional") == nil)
            #expect(try await reason(silent, purpose: "nonsense") == "unknownPurpose")
            let gone = try await fixture.makeProfile(email: "gone@example.org", consent: false)
            #expect(try await reason(gone) == "consentWithdrawn")
            let known = try await fixture.makeProfile(email: "known@example.org")
            #expect(try await reason(known, template: "none") == "unknownTemplate")
            fixture.clock.advance(by: .seconds(1))
            let device = try await fixture.makeProfile(consent: false)
            #expect(try await reason(device) == "consentWithdrawn")
            #expect(try await reason(known) == nil)
            try await fixture.merge(device, into: known)
            #expect(try await reason(known) == "consentWithdrawn")
            fixture.clock.advance(by: .seconds(1))
            try await fixture.decide(true, known)
            #expect(try await reason(device) == nil)
            let nameless = try await fixture.makeProfile()
            #expect(try await reason(nameless) == "noAddress")
            let odd = try await fixture.makeProfile(email: "ödd@example.org")
            #expect(try await reason(odd) == "invalidAddress")
            try await fixture.put(template: "broken", html: "{{ 1 | divided_by: profile.traits.none }}")
            #expect(try await reason(known, template: "broken") == "templateFailed")
            let transactional = try await fixture.want(silent, purpose: "transactional")
            let mail = try fixture.file(try await fixture.message(transactional, in: "delivered"))
            #expect(!mail.contains("List-Unsubscribe"))
        }
    }

    @Test("a withdrawal that is being written is waited for, and blocks the mail")
    func race() async throws {
        try await DeliveryFixture.with { fixture in
            try await fixture.put()
            let jo = try await fixture.makeProfile(email: "jo@example.org")
            let intent = try await fixture.owner.transaction { transaction in
                try await transaction.execute(
                    DeliveryFixture.decision(false, jo, at: fixture.clock.now + .milliseconds(1)))
                let intent = try await fixture.want(jo)
                // The sender is at the locked row before the withdrawal commits.
                try await untilSomebodyWaits(fixture.owner)
                return intent
            }
            let message = try await fixture.message(intent, in: "delivered", "suppressed")
            #expect(message["reason"] == "consentWithdrawn")
        }
    }

    private func untilSomebodyWaits(_ pool: PostgresPool) async throws {
        while try await pool.query(
            """
            SELECT 1 FROM pg_stat_activity
            WHERE datname = current_database() AND wait_event_type = 'Lock' AND query LIKE '%consent_state%'
            """
        ).isEmpty { await Task.yield() }
    }

    @Test("a mail whose sender died is sent again with the same Message-ID")
    func abandoned() async throws {
        try await DeliveryFixture.with { fixture in
            try await fixture.put()
            let jo = try await fixture.makeProfile(email: "jo@example.org")
            let first = try await fixture.message(try await fixture.want(jo), in: "delivered")
            let before = try fixture.file(first)
            try FileManager.default.removeItem(at: fixture.outboxDirectory)
            // As it was when the server had the mail and the sender had not told: no end of the attempt is known.
            try await fixture.owner.execute("DELETE FROM delivery.attempt")
            try await fixture.owner.execute(
                "UPDATE delivery.message SET state = 'sending', leased_until = now() - interval '1 second'")
            let id = try #require(first["messageId"]?.string)
            let again = try await fixture.eventually { () -> JSON? in
                let message = try await fixture.service.request("GET", "/v1/messages/\(id)").json
                if message["status"] == "delivered" { return message }
                // What the service itself would do at the latest in five seconds.
                try await fixture.owner.execute("SELECT pg_notify('delivery_queue', '')")
                return nil
            }
            #expect(again["attempts"]?.integer == 2)
            #expect(try fixture.file(again) == before)
        }
    }

    @Test("the same intent twice is one message")
    func twice() async throws {
        try await DeliveryFixture.with { fixture in
            try await fixture.put()
            let jo = try await fixture.makeProfile(email: "jo@example.org")
            let intent = SendIntent(
                intentID: IntentID(UUIDv7.make(at: fixture.clock.now)), journey: "welcome", journeyVersion: 1,
                instanceID: InstanceID(UUIDv7.make(at: fixture.clock.now)), step: "first", profileID: jo,
                template: "hello", purpose: "marketing", at: fixture.clock.now)
            for _ in 1...3 { try await fixture.append(intent) }
            let last = try await fixture.want(jo)
            _ = try await fixture.message(intent.intentID, in: "delivered")
            _ = try await fixture.message(last, in: "delivered")
            #expect(try await fixture.owner.query("SELECT 1 FROM delivery.message").count == 2)
            #expect(try await fixture.events("Email Delivered").count == 2)
        }
    }

    @Test("what journeys still wanted for somebody who was erased is not sent, and says nothing of them")
    func wantedOfTheErased() async throws {
        try await DeliveryFixture.with { fixture in
            try await fixture.put()
            let jo = try await fixture.makeProfile(email: "jo@example.org", traits: ["name": "Jo"])
            try await fixture.owner.execute(
                "UPDATE profiles.profile SET erased_at = \(fixture.clock.now) WHERE profile_id = \(jo)")
            let intent = try await fixture.want(jo, variables: ["trigger": ["name": "Mug"]])
            let message = try await fixture.message(intent, in: "suppressed")
            #expect(message["reason"] == "erased")
            #expect(message[path: "evidence.decision.doNotSend"] == "erased")
            #expect(message[path: "evidence.facts.consents"]?.array?.isEmpty ?? true)
            let rows = try await fixture.owner.query(
                "SELECT variables, links, subject, address_hash FROM delivery.message")
            #expect(try rows.map { try $0.get("variables", as: String.self) } == ["{}"])
            #expect(try rows.map { try $0.get("subject", as: String?.self) } == [nil])
        }
    }

    @Test("what was sent between delivery's own erasure and identity's goes when identity tells of its")
    func sentInBetween() async throws {
        try await DeliveryFixture.with { fixture in
            try await fixture.put()
            let (jo, bo) = (
                try await fixture.makeProfile(email: "jo@example.org"),
                try await fixture.makeProfile(email: "bo@example.org")
            )
            for profile in [jo, bo] {
                _ = try await fixture.message(try await fixture.want(profile), in: "delivered")
            }
            let path = "/v1/erasures/\(PrivacyRequestID(UUIDv7.make(at: fixture.clock.now)))"
            let told: JSON = ["profileIds": [.string(jo.description)]]
            #expect(try await fixture.service.request("PUT", path, json: told, as: .none).status == 401)
            for _ in 1...2 {
                let answer = try await fixture.service.request(
                    "PUT", path, json: told, as: .service(.identity))
                #expect(answer.status == 204, "\(answer.text)")
            }
            let left = try await fixture.owner.query("SELECT profile_id FROM delivery.message")
            #expect(try left.map { try $0.get("profile_id", as: ProfileID.self) } == [bo])
            #expect(try await fixture.owner.query("SELECT FROM delivery.attempt").count == 1)
        }
    }

    @Test("erasure leaves nothing but the suppression, and old links stay harmless")
    func erasure() async throws {
        try await DeliveryFixture.with { fixture in
            try await fixture.put(
                html: "<a href='https://shop.example'>x</a><a href='{{ unsubscribe_url }}'>y</a>")
            let jo = try await fixture.makeProfile(email: "jo@example.org")
            let message = try await fixture.message(try await fixture.want(jo), in: "delivered")
            let paths = DeliveryFixture.trackingPaths(try fixture.file(message))
            let request = PrivacyRequest(
                id: PrivacyRequestID(UUIDv7.make(at: fixture.clock.now)), type: .erasure, profileID: jo,
                profileIDs: [jo], requestedAt: fixture.clock.now)
            let handler = try #require(fixture.service.running.parts.privacy)
            let held = try await fixture.service.context.pool.transaction {
                try await handler.access(request, $0)
            }
            #expect(held["messages"]?.array?.count == 1)
            let erased = try await fixture.service.context.pool.transaction {
                try await handler.erase(request, $0)
            }
            #expect(erased["message"]?.integer == 1)
            #expect(erased["file"]?.integer == 1)
            #expect(throws: CocoaError.self) { try fixture.file(message) }
            for path in paths {
                let answer = try await fixture.service.request("GET", path, as: .none)
                #expect(answer.status == (path.hasPrefix("/t/c/") ? 404 : 200))
            }
            let done = try await fixture.service.request(
                "POST", try #require(paths.first { $0.hasPrefix("/t/u/") }),
                body: Array("List-Unsubscribe=One-Click".utf8),
                headers: ["Content-Type": "application/x-www-form-urlencoded"], as: .none)
            #expect(done.status == 200)
            #expect(try await fixture.owner.query("SELECT 1 FROM delivery.engagement").isEmpty)
        }
    }
}
