import DeliveryDomain
import Models
import Postgres
import Sealing
import ServiceKit
import TestSupport
import Testing

@testable import DeliveryServer

/// Messages that are still to be sent when a merge is undone.
@Suite(
    .enabled(if: TestDatabase.isAvailable, Comment(rawValue: TestDatabase.howToEnable)),
    .serialized, .timeLimit(.minutes(5)))
struct UndoneMergeTests {
    /// Ada and Bob, who were one person for a while; she has consented since, he has not unless it is said.
    private struct Pair {
        var ada: ProfileID
        var bob: ProfileID
        var mergeID: MergeID
    }

    private func undonePair(
        _ fixture: DeliveryFixture, bob email: String = "bob@example.org", consent: Bool? = true
    ) async throws -> Pair {
        try await fixture.put(html: "<p>{{ profile.traits.name }}</p>")
        let ada = try await fixture.makeProfile(email: "ada@example.org", traits: ["name": "Ada"])
        let bob = try await fixture.makeProfile(email: email, traits: ["name": "Bob"], consent: consent)
        try await fixture.merge(bob, into: ada)
        return Pair(ada: ada, bob: bob, mergeID: try await fixture.unmerge(bob, from: ada))
    }

    private func correction(
        _ kind: IntentCorrection.Kind, _ intent: IntentID, of profile: ProfileID, _ pair: Pair,
        in fixture: DeliveryFixture
    ) -> IntentFact {
        .corrected(
            IntentCorrection(kind, intent, of: profile, at: fixture.clock.now, mergeID: pair.mergeID))
    }

    /// Returns when the message is held.
    private func untilHeld(_ intent: IntentID, _ fixture: DeliveryFixture) async throws {
        while try await fixture.owner.query(
            "SELECT FROM delivery.message WHERE intent_id = \(intent) AND reason = 'unmerging'"
        ).isEmpty { await Task.yield() }
    }

    @Test("a message of his goes to his address, by his consent and with his name, once that is known")
    func restated() async throws {
        try await DeliveryFixture.with { fixture in
            let pair = try await undonePair(fixture)
            // Journeys haven't read of it yet.
            let intent = try await fixture.want(pair.ada)
            try await untilHeld(intent, fixture)
            try await fixture.foldConsents(without: pair.mergeID)
            try await fixture.say(
                correction(.restated, intent, of: pair.bob, pair, in: fixture),
                .unmerged(pair.mergeID, at: fixture.clock.now), under: pair.ada)
            let message = try await fixture.message(intent, in: "delivered")
            let mail = try fixture.file(message)
            #expect(mail.contains("To: bob@example.org\r\n") && mail.contains("<p>Bob</p>"))
            #expect(message[path: "evidence.correction.kind"] == "restated")
            #expect(message[path: "correction.mergeId"]?.string == pair.mergeID.description)
            let facts = try SendFacts(json: try #require(message["evidence"]?["facts"]))
            #expect(facts.unmerges.map(\.isFollowed) == [true])
            guard case .send(_, let consent) = SendDecision.decide(facts) else {
                Issue.record("the evidence doesn't lead to the send")
                return
            }
            #expect(consent?.profileID == pair.bob)
            let told = try await fixture.events("Email Delivered")
            #expect(told.map { $0["profileId"]?.string } == [pair.bob.description])
            let his = try await fixture.service.request("GET", "/v1/messages?profileId=\(pair.bob)").json
            #expect(his["items"]?.array?.count == 1)
            #expect(try await fixture.owner.query("SELECT FROM delivery.deadline").isEmpty)
        }
    }

    @Test("a message of hers waits until consents stand as they do without him, not longer")
    func waitsForConsent() async throws {
        try await DeliveryFixture.with { fixture in
            let pair = try await undonePair(fixture)
            let intent = try await fixture.want(pair.ada)
            try await untilHeld(intent, fixture)
            try await fixture.say(.unmerged(pair.mergeID, at: fixture.clock.now), under: pair.ada)
            try await untilHeld(intent, fixture)
            // It was his grant that stood for both.
            try await fixture.owner.transaction { transaction in
                try await transaction.execute(
                    DeliveryFixture.decision(false, pair.ada, at: fixture.clock.now))
                try await transaction.execute(
                    """
                    INSERT INTO profiles.consent_unmerge (shard, profile_id, merge_id)
                    SELECT shard, profile_id, merge_id FROM profiles.unmerged_profile
                    """)
            }
            // Within a second, or when another undone merge has them looked at again.
            let other = MergeID(UUIDv7.make(at: fixture.clock.now))
            try await fixture.say(.unmerged(other, at: fixture.clock.now), under: pair.ada)
            let message = try await fixture.message(intent, in: "suppressed", "delivered")
            #expect(message["reason"] == "consentWithdrawn")
        }
    }

    @Test("an undoing that is committed while consent is waited for holds the message")
    func undoneMeanwhile() async throws {
        try await DeliveryFixture.with { fixture in
            try await fixture.put()
            let ada = try await fixture.makeProfile(email: "ada@example.org")
            let bob = try await fixture.makeProfile(email: "bob@example.org")
            try await fixture.merge(bob, into: ada)
            let intent = try await fixture.owner.transaction { transaction in
                try await transaction.execute(
                    DeliveryFixture.decision(true, ada, at: fixture.clock.now + .milliseconds(1)))
                let intent = try await fixture.want(ada)
                // The sender has read who the person is, and is at the locked row of their consent.
                while try await fixture.owner.query(
                    """
                    SELECT FROM pg_stat_activity
                    WHERE datname = current_database() AND wait_event_type = 'Lock' AND query LIKE '%consent_state%'
                    """
                ).isEmpty { await Task.yield() }
                _ = try await fixture.unmerge(bob, from: ada)
                return intent
            }
            try await untilHeld(intent, fixture)
            #expect(try await fixture.events("Email Delivered").isEmpty)
        }
    }

    @Test("what would not have been wanted isn't sent, with the reason; when its time comes it is, once")
    func withdrawn() async throws {
        try await DeliveryFixture.with { fixture in
            let pair = try await undonePair(fixture)
            let intent = try await fixture.want(pair.ada)
            try await untilHeld(intent, fixture)
            try await fixture.foldConsents(without: pair.mergeID)
            try await fixture.say(
                correction(.withdrawn, intent, of: pair.bob, pair, in: fixture),
                .unmerged(pair.mergeID, at: fixture.clock.now), under: pair.ada)
            try await fixture.say(.unmerged(pair.mergeID, at: fixture.clock.now), under: pair.bob)
            let stopped = try await fixture.message(intent, in: "suppressed")
            #expect(stopped["reason"] == "mergeUndone")
            #expect(stopped["profileId"]?.string == pair.bob.description)
            let evidence = try #require(stopped["evidence"])
            #expect(evidence[path: "decision.doNotSend"] == "mergeUndone")
            #expect(
                CorrectionDecision.decide(
                    try IntentCorrection(json: evidence["correction"] ?? .null),
                    try MessageStanding(json: evidence["standing"] ?? .null)) == .cancel)
            let notSent = try await fixture.events("Email Not Sent")
            #expect(notSent.map { $0[path: "properties.reason"] } == ["mergeUndone"])
            #expect(try await fixture.owner.query("SELECT FROM delivery.deadline").isEmpty)

            fixture.clock.advance(by: .hours(2))
            let again = correction(.renewed, intent, of: pair.bob, pair, in: fixture)
            try await fixture.say(again, under: pair.ada)
            let sent = try await fixture.message(intent, in: "delivered")
            #expect(sent["wantedAt"]?.string == fixture.clock.now.rfc3339)
            #expect(try fixture.file(sent).contains("To: bob@example.org\r\n"))
            // What has gone out stands, whatever is said of it.
            let last = try await fixture.want(pair.bob)
            try await fixture.say(
                again, correction(.withdrawn, intent, of: pair.bob, pair, in: fixture),
                correction(.restated, intent, of: pair.ada, pair, in: fixture), under: pair.ada)
            _ = try await fixture.message(last, in: "delivered")
            try await fixture.say(.unmerged(pair.mergeID, at: fixture.clock.now), under: pair.ada)
            let still = try await fixture.message(intent, in: "delivered")
            #expect(still["attempts"] == 1 && still["profileId"]?.string == pair.bob.description)
            #expect(try await fixture.events("Email Delivered").count == 2)
        }
    }

    @Test("what is said during an attempt counts when the attempt has settled nothing, and starts anew")
    func duringAnAttempt() async throws {
        let receiver = try SMTPReceiver()
        defer { receiver.stop() }
        try await DeliveryFixture.with(["MARTLET_SMTP_URL": "smtp://127.0.0.1:\(receiver.port)"]) { fixture in
            try await fixture.put()
            let ada = try await fixture.makeProfile(email: "later-ada@example.org")
            let bob = try await fixture.makeProfile(email: "bob@example.org")
            let (hers, his) = (try await fixture.want(ada), try await fixture.want(ada))
            for intent in [hers, his] { _ = try await fixture.message(intent, in: "waiting", "delivered") }
            // The first of the two was greylisted. As if both attempts were under way still:
            try await fixture.owner.execute(
                """
                UPDATE delivery.message SET state = 'sending', leased_until = now() + interval '1 hour'
                """)
            try await fixture.owner.execute("DELETE FROM delivery.deadline")
            let merge = MergeID(UUIDv7.make(at: fixture.clock.now))
            let now = fixture.clock.now
            try await fixture.say(
                .corrected(IntentCorrection(.withdrawn, hers, of: ada, at: now, mergeID: merge)),
                .corrected(IntentCorrection(.restated, his, of: bob, at: now, mergeID: merge)),
                .unmerged(merge, at: now), under: ada)
            while try await fixture.owner.query("SELECT FROM delivery.unmerge").isEmpty { await Task.yield() }
            for intent in [hers, his] {
                let message = try await fixture.message(intent, in: "sending")
                #expect(message["profileId"]?.string == ada.description)
            }
            // Their senders have died.
            try await fixture.owner.execute(
                "UPDATE delivery.message SET leased_until = now() - interval '1 second'")
            let queue = QueueStore(sealing: MessageSealing(days: fixture.service.context.vault.days))
            try await queue.requeueAbandoned(fixture.owner)
            try await fixture.owner.execute("SELECT pg_notify('delivery_queue', '')")
            #expect(try await fixture.message(hers, in: "suppressed")["reason"] == "mergeUndone")
            let message = try await fixture.message(his, in: "delivered")
            #expect(message["profileId"]?.string == bob.description)
            #expect(message["attempts"] == 2)
            // What her mail server said may name her.
            #expect(
                message[path: "attemptList.0.detail"] == "for somebody else, before a merge was undone")
        }
    }

    @Test("a message that was refused for now at her address is tried at his at once, on his own schedule")
    func retrying() async throws {
        let receiver = try SMTPReceiver()
        defer { receiver.stop() }
        try await DeliveryFixture.with(["MARTLET_SMTP_URL": "smtp://127.0.0.1:\(receiver.port)"]) { fixture in
            try await fixture.put()
            let ada = try await fixture.makeProfile(email: "later-ada@example.org")
            let bob = try await fixture.makeProfile(email: "later-bob@example.org")
            let intent = try await fixture.want(ada)
            _ = try await fixture.message(intent, in: "waiting")
            let merge = MergeID(UUIDv7.make(at: fixture.clock.now))
            fixture.clock.advance(by: .seconds(10))
            try await fixture.say(
                .corrected(
                    IntentCorrection(.restated, intent, of: bob, at: fixture.clock.now, mergeID: merge)),
                under: ada)
            let tried = try await fixture.eventually { () -> JSON? in
                let message = try await fixture.message(intent, in: "queued", "sending", "waiting")
                return message["status"] == "waiting" && message["attempts"] == 2 ? message : nil
            }
            #expect(tried["profileId"]?.string == bob.description)
            let due = try await fixture.owner.query("SELECT due_at FROM delivery.deadline").first?
                .get("due_at", as: Instant.self)
            // The pause after a first attempt, not the longer one after a second.
            let pause = try #require(due) - fixture.clock.now
            #expect(pause >= .seconds(48) && pause <= .seconds(72))
            fixture.clock.set(try #require(due))
            try await fixture.owner.execute("SELECT pg_notify('platform_clock', '')")
            let message = try await fixture.message(intent, in: "delivered")
            let facts = try SendFacts(json: try #require(message["evidence"]?["facts"]))
            #expect(facts.attempts.count == 1)
        }
    }

    @Test("nobody is waited for longer than a message lives, nor where journeys have told already")
    func bounded() async throws {
        try await DeliveryFixture.with { fixture in
            let pair = try await undonePair(fixture)
            let late = try await fixture.want(pair.ada)
            try await untilHeld(late, fixture)
            fixture.clock.advance(by: SendIntent.lifetime + .milliseconds(1))
            let fresh = try await fixture.want(pair.ada)
            #expect(try await fixture.message(fresh, in: "delivered")["reason"] == .null)
            let other = MergeID(UUIDv7.make(at: fixture.clock.now))
            try await fixture.say(.unmerged(other, at: fixture.clock.now), under: pair.ada)
            #expect(try await fixture.message(late, in: "suppressed")["reason"] == "expired")

            // Told before the message came: nothing is waited for.
            let second = try await fixture.unmerge(pair.bob, from: pair.ada)
            try await fixture.foldConsents(without: second)
            try await fixture.say(.unmerged(second, at: fixture.clock.now), under: pair.ada)
            let intent = try await fixture.want(pair.ada)
            _ = try await fixture.message(intent, in: "delivered")
        }
    }
}
