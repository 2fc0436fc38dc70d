import DeliveryDomain
import Foundation
import Models
import Postgres
import ProfileStore
import ServiceKit
import TestSupport
import Testing

/// What people said no to, however close it comes to the send.
@Suite(
    .enabled(if: TestDatabase.isAvailable, Comment(rawValue: TestDatabase.howToEnable)),
    .serialized, .timeLimit(.minutes(5)))
struct ObjectionTests {
    /// A purpose that is permitted until somebody objects, so that of most people there is no row to lock.
    private func makeNews(_ fixture: DeliveryFixture) async throws {
        try await fixture.owner.execute(
            """
            INSERT INTO profiles.consent_policy (version, body, source, created_at, created_by)
            SELECT version + 1, jsonb_set(body::jsonb, '{purposes,news}',
                '{"name": "News", "legalBasis": "legitimateInterest", "text": {"version": "1"}}')::text,
                'test', \(fixture.clock.now), 'test'
            FROM profiles.consent_policy ORDER BY version DESC LIMIT 1
            """)
        try await fixture.put()
    }

    private func objection(_ profile: ProfileID, at now: Instant) -> SQL {
        """
        INSERT INTO profiles.consent_state (shard, profile_id, purpose, state, at, ledger_entry)
        VALUES (\(Shard(profile)), \(profile), 'news', 'withdrawn', \(now), \(UUID()))
        """
    }

    private func untilSomebodyWaits(_ pool: PostgresPool) async throws {
        while try await pool.query(
            """
            SELECT 1 FROM pg_stat_activity
            WHERE datname = current_database() AND wait_event_type = 'Lock'
                AND query LIKE '%pg_advisory_xact_lock_shared%'
            """
        ).isEmpty { await Task.yield() }
    }

    @Test("an objection that is being written is waited for, also the first of somebody")
    func firstObjection() async throws {
        try await DeliveryFixture.with { fixture in
            try await makeNews(fixture)
            let jo = try await fixture.makeProfile(email: "jo@example.org", consent: nil)
            let intent = try await fixture.owner.transaction { transaction in
                try await DecisionLock.take(for: .deciding, of: [jo], in: transaction)
                let intent = try await fixture.want(jo, purpose: "news")
                try await untilSomebodyWaits(fixture.owner)
                try await transaction.execute(objection(jo, at: fixture.clock.now))
                return intent
            }
            let message = try await fixture.message(intent, in: "delivered", "suppressed")
            #expect(message["reason"] == "objected")
        }
    }

    @Test("who is merged while their mail is decided gets it by the decisions of the whole person")
    func mergedMeanwhile() async throws {
        try await DeliveryFixture.with { fixture in
            try await makeNews(fixture)
            let jo = try await fixture.makeProfile(email: "jo@example.org", consent: nil)
            let device = try await fixture.makeProfile(consent: nil)
            let intent = try await fixture.owner.transaction { transaction in
                try await DecisionLock.take(for: .deciding, of: [jo], in: transaction)
                let intent = try await fixture.want(jo, purpose: "news")
                try await untilSomebodyWaits(fixture.owner)
                // Both commit while the mail waits, and neither is in a row of whom the mail was for.
                try await fixture.merge(jo, into: device)
                try await fixture.owner.execute(objection(device, at: fixture.clock.now))
                return intent
            }
            let message = try await fixture.eventually { () -> JSON? in
                // What the service does by itself within a second.
                try await fixture.owner.execute(
                    "UPDATE delivery.message SET leased_until = now() - interval '1 s' WHERE state = 'waiting'"
                )
                let rows = try await fixture.owner.query(
                    """
                    SELECT message_id FROM delivery.message
                    WHERE intent_id = \(intent) AND state IN ('delivered', 'suppressed')
                    """)
                guard let row = rows.first else {
                    try await fixture.owner.execute("SELECT pg_notify('delivery_queue', '')")
                    return nil
                }
                return try await fixture.service.request(
                    "GET", "/v1/messages/\(try row.get("message_id", as: UUID.self))"
                ).json
            }
            #expect(message["reason"] == "objected")
        }
    }

    @Test("unsubscribing holds with its answer at every address, until the person asks for mails again")
    func everyAddress() async throws {
        try await DeliveryFixture.with { fixture in
            try await fixture.put(html: "<a href='{{ unsubscribe_url }}'>stop</a>")
            let jo = try await fixture.makeProfile(email: "old@example.org")
            let first = try await fixture.message(try await fixture.want(jo), in: "delivered")
            fixture.clock.advance(by: .seconds(1))
            let other = try await fixture.makeProfile(email: "new@example.org", consent: nil)
            try await fixture.merge(other, into: jo)
            let link = try #require(
                DeliveryFixture.trackingPaths(try fixture.file(first)).first { $0.hasPrefix("/t/u/") })
            func unsubscribe() async throws {
                let done = try await fixture.service.request(
                    "POST", link, body: Array("List-Unsubscribe=One-Click".utf8),
                    headers: ["Content-Type": "application/x-www-form-urlencoded"], as: .none)
                #expect(done.status == 200)
            }
            func reason() async throws -> String? {
                let message = try await fixture.message(
                    try await fixture.want(jo), in: "delivered", "suppressed")
                return message["reason"]?.string
            }
            // The mail would go to the new address, and consent has heard of nothing yet.
            try await unsubscribe()
            #expect(try await reason() == "consentWithdrawn")
            fixture.clock.advance(by: .seconds(1))
            try await fixture.decide(true, jo)
            #expect(try await reason() == nil)
            // The same link once more, after they had asked for mails again.
            fixture.clock.advance(by: .seconds(1))
            for _ in 1...2 { try await unsubscribe() }
            #expect(try await reason() == "consentWithdrawn")
            let withdrawals = try await fixture.calls(to: .consent)
            #expect(withdrawals.map { $0["action"] } == ["withdraw", "withdraw"])
            #expect(try await fixture.events("Unsubscribed").count == 1)
        }
    }

    @Test("who unsubscribed at their only address and asks for mails again gets them")
    func askedForAgain() async throws {
        try await DeliveryFixture.with { fixture in
            try await fixture.put(html: "<a href='{{ unsubscribe_url }}'>stop</a>")
            let jo = try await fixture.makeProfile(email: "jo@example.org")
            let first = try await fixture.message(try await fixture.want(jo), in: "delivered")
            let link = try #require(
                DeliveryFixture.trackingPaths(try fixture.file(first)).first { $0.hasPrefix("/t/u/") })
            fixture.clock.advance(by: .seconds(1))
            _ = try await fixture.service.request(
                "POST", link, body: Array("List-Unsubscribe=One-Click".utf8),
                headers: ["Content-Type": "application/x-www-form-urlencoded"], as: .none)
            _ = try await fixture.message(try await fixture.want(jo), in: "suppressed")
            fixture.clock.advance(by: .seconds(1))
            try await fixture.decide(true, jo)
            _ = try await fixture.message(try await fixture.want(jo), in: "delivered")
        }
    }

    @Test("an objection outlives the request for erasure until identity has erased the person")
    func untilErased() async throws {
        try await DeliveryFixture.with { fixture in
            try await makeNews(fixture)
            let jo = try await fixture.makeProfile(email: "jo@example.org", consent: nil)
            try await fixture.owner.execute(
                """
                INSERT INTO delivery.objection (shard, profile_id, purpose, at)
                VALUES (\(Shard(jo)), \(jo), 'news', \(fixture.clock.now))
                """)
            let request = PrivacyRequest(
                id: PrivacyRequestID(UUIDv7.make(at: fixture.clock.now)), type: .erasure, profileID: jo,
                profileIDs: [jo], requestedAt: fixture.clock.now)
            let handler = try #require(fixture.service.running.parts.privacy)
            let pool = fixture.service.context.pool
            let held = try await pool.transaction { try await handler.access(request, $0) }
            #expect(held["objections"]?.array?.count == 1)
            let receipt = try await pool.transaction { try await handler.erase(request, $0) }
            #expect(receipt["objection"]?.integer == 1)
            let late = try await fixture.want(jo, purpose: "news")
            #expect(try await fixture.message(late, in: "delivered", "suppressed")["reason"] == "objected")
            try await fixture.owner.execute(
                "UPDATE profiles.profile SET erased_at = \(fixture.clock.now) WHERE profile_id = \(jo)")
            _ = try await pool.transaction { try await handler.erase(request, $0) }
            #expect(try await fixture.owner.query("SELECT FROM delivery.objection").isEmpty)
        }
    }
}
