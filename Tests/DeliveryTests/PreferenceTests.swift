import DeliveryDomain
import Foundation
import Models
import Postgres
import ServiceKit
import TestSupport
import Testing

@Suite(
    "What people wish about being written to",
    .enabled(if: TestDatabase.isAvailable, Comment(rawValue: TestDatabase.howToEnable)), .serialized,
    .timeLimit(.minutes(5)))
struct PreferenceTests {
    private func wish(
        _ name: String, _ state: String, _ profile: ProfileID, _ fixture: DeliveryFixture
    ) async throws {
        try await fixture.owner.execute(
            """
            INSERT INTO profiles.consent_state (shard, profile_id, purpose, state, at, ledger_entry)
            VALUES (\(Shard(profile)), \(profile), \(name), \(state), \(fixture.clock.now), \(UUID()))
            ON CONFLICT (shard, profile_id, purpose) DO UPDATE SET state = excluded.state, at = excluded.at
            """)
    }

    private func reason(
        _ profile: ProfileID, _ fixture: DeliveryFixture, purpose: String = "marketing"
    ) async throws -> String? {
        try await fixture.message(
            try await fixture.want(profile, purpose: purpose), in: "delivered", "suppressed")["reason"]?
            .string
    }

    @Test("who wants one mail a day gets one a day, by whichever profile, and orders still come")
    func frequency() async throws {
        try await DeliveryFixture.with { fixture in
            try await fixture.put()
            let jo = try await fixture.makeProfile(email: "jo@example.org")
            let device = try await fixture.makeProfile(consent: nil)
            try await fixture.merge(device, into: jo)
            #expect(try await reason(jo, fixture) == nil)
            fixture.clock.advance(by: .hours(1))
            #expect(try await reason(jo, fixture) == nil)
            try await wish("frequency:daily", "granted", jo, fixture)
            fixture.clock.advance(by: .hours(1))
            let refused = try await fixture.message(try await fixture.want(device), in: "suppressed")
            #expect(refused["reason"] == "tooFrequent")
            let facts = try SendFacts(json: try #require(refused["evidence"]?["facts"]))
            #expect(facts.lastSentAt != nil)
            #expect(SendDecision.decide(facts) == .doNotSend(.tooFrequent))
            #expect(try await reason(jo, fixture, purpose: "transactional") == nil)
            // An order's mail does not count: it is a day since the last of the others.
            fixture.clock.advance(by: .hours(23))
            #expect(try await reason(jo, fixture) == nil)
            #expect(try await reason(jo, fixture) == "tooFrequent")
            fixture.clock.advance(by: .hours(1))
            try await wish("frequency:daily", "withdrawn", jo, fixture)
            #expect(try await reason(jo, fixture) == nil)
        }
    }

    @Test(
        "what is written to a message after it was sent, as when a merge is undone, makes nobody wait for longer"
    )
    func restated() async throws {
        try await DeliveryFixture.with { fixture in
            try await fixture.put()
            let jo = try await fixture.makeProfile(email: "jo@example.org")
            try await wish("frequency:daily", "granted", jo, fixture)
            #expect(try await reason(jo, fixture) == nil)
            fixture.clock.advance(by: .hours(23))
            try await fixture.owner.execute("UPDATE delivery.message SET updated_at = \(fixture.clock.now)")
            #expect(try await reason(jo, fixture) == "tooFrequent")
            fixture.clock.advance(by: .hours(1))
            #expect(try await reason(jo, fixture) == nil)
        }
    }

    @Test("of many mails that are wanted at once one goes out to who wants that rarely")
    func atOnce() async throws {
        try await DeliveryFixture.with { fixture in
            try await fixture.put()
            let jo = try await fixture.makeProfile(email: "jo@example.org")
            let ann = try await fixture.makeProfile(email: "ann@example.org")
            try await wish("frequency:weekly", "granted", jo, fixture)
            var intents: [IntentID] = []
            for _ in 0..<8 { intents.append(try await fixture.want(jo)) }
            let others = [try await fixture.want(ann), try await fixture.want(ann)]
            var reasons: [String?] = []
            for intent in intents {
                reasons.append(
                    try await fixture.message(intent, in: "delivered", "suppressed")["reason"]?.string)
            }
            #expect(reasons.filter { $0 == nil }.count == 1)
            #expect(reasons.filter { $0 == "tooFrequent" }.count == 7)
            for intent in others { _ = try await fixture.message(intent, in: "delivered") }
        }
    }

    @Test("who refuses a channel gets nothing by it but what goes with an order")
    func channel() async throws {
        try await DeliveryFixture.with { fixture in
            try await fixture.put()
            let jo = try await fixture.makeProfile(email: "jo@example.org")
            try await wish("channel:sms", "withdrawn", jo, fixture)
            #expect(try await reason(jo, fixture) == nil)
            try await wish("channel:email", "withdrawn", jo, fixture)
            #expect(try await reason(jo, fixture) == "channelRefused")
            #expect(try await reason(jo, fixture, purpose: "transactional") == nil)
            fixture.clock.advance(by: .seconds(1))
            try await wish("channel:email", "granted", jo, fixture)
            #expect(try await reason(jo, fixture) == nil)
        }
    }

    @Test(
        "a mail can lead to the person's own page, past the click counter, the same however often it is tried"
    )
    func link() async throws {
        try await DeliveryFixture.with(["MARTLET_PREFERENCES_URL": "https://shop.example/privacy/"]) {
            fixture in
            try await fixture.put(
                html:
                    "<a href=\"{{ preferences_url }}?lang=de\">choose</a><a href=\"https://shop.example/x\">x</a>"
            )
            let jo = try await fixture.makeProfile(email: "jo@example.org")
            let message = try await fixture.message(try await fixture.want(jo), in: "delivered")
            let mail = try fixture.file(message)
            let found = try #require(
                mail.firstMatch(
                    of: /https:\/\/shop\.example\/privacy\/preferences\/([A-Za-z0-9_-]+)\?lang=de/))
            let links = PersonLinks(pagesURL: "", tokens: fixture.service.context.tokens)
            let claim = try #require(links.claim(in: String(found.1)))
            #expect(claim.profileID == jo)
            #expect(claim.expiresAt == fixture.clock.now + .hours(90 * 24))
            #expect(try links.token(claim) == String(found.1))
            let kept = try await fixture.owner.query(
                "SELECT links::text AS links FROM delivery.message WHERE profile_id = \(jo)"
            ).first?.get("links", as: String.self)
            #expect(kept?.filter { $0 == ":" }.count == 1)
        }
    }
}
