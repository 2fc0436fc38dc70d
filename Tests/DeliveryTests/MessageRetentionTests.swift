import Models
import Postgres
import ServiceKit
import TestSupport
import Testing

@Suite("Retention of messages", .enabled(if: TestDatabase.isAvailable, "\(TestDatabase.howToEnable)"))
struct MessageRetentionTests {
    @Test("settled messages go with all that hangs on them when their time is over, and no others")
    func sweeps() async throws {
        try await DeliveryFixture.with { fixture in
            try await fixture.put()
            let person = try await fixture.makeProfile(email: "ada@example.com")
            let stranger = try await fixture.makeProfile(email: "bob@example.com", consent: nil)
            _ = try await fixture.message(fixture.want(person), in: "delivered")
            _ = try await fixture.message(fixture.want(stranger), in: "suppressed")
            fixture.clock.advance(by: .days(50))
            _ = try await fixture.message(fixture.want(person), in: "delivered")
            try await fixture.owner.execute(
                """
                INSERT INTO profiles.retention_policy (version, body, source, created_at, created_by)
                VALUES (2, '{"keep": {"messages": "60d"}}', '', now(), 'key test')
                """)
            fixture.clock.advance(by: .days(20))
            let worker = try fixture.service.retention(limit: 1)
            #expect(try await worker.sweep() == 2)
            let left = try await fixture.owner.query(
                "SELECT message_id FROM delivery.message WHERE updated_at >= \(fixture.clock.now - .days(20))"
            )
            #expect(left.count == 1)
            #expect(try await fixture.owner.query("SELECT FROM delivery.message").count == 1)
            // Of what was sent as much stays as it takes to unsubscribe, and an erasure takes that.
            let remnants = try await fixture.owner.query(
                "SELECT profile_id, purpose, address_hash IS NULL AS none FROM delivery.message_remnant")
            #expect(try remnants.map { try $0.get("profile_id", as: ProfileID.self) } == [person])
            for table in ["attempt", "engagement", "deadline"] {
                let orphans = try await fixture.owner.query(
                    """
                    SELECT FROM delivery.\(unsafe: table) x WHERE NOT EXISTS (
                        SELECT FROM delivery.message m WHERE m.shard = x.shard AND m.message_id = x.message_id)
                    """)
                #expect(orphans.isEmpty)
            }
        }
    }

    @Test("the link to unsubscribe works in a mail that was let go of")
    func unsubscribing() async throws {
        try await DeliveryFixture.with { fixture in
            try await fixture.put(html: "<a href='{{ unsubscribe_url }}'>stop</a>")
            let person = try await fixture.makeProfile(email: "ada@example.com")
            let message = try await fixture.message(fixture.want(person), in: "delivered")
            let link = try #require(
                DeliveryFixture.trackingPaths(try fixture.file(message)).first { $0.hasPrefix("/t/u/") })
            try await fixture.owner.execute(
                """
                INSERT INTO profiles.retention_policy (version, body, source, created_at, created_by)
                VALUES (2, '{"keep": {"messages": "60d"}}', '', now(), 'key test')
                """)
            fixture.clock.advance(by: .days(70))
            #expect(try await fixture.service.retention(limit: 10).sweep() == 1)
            let done = try await fixture.service.request(
                "POST", link, body: Array("List-Unsubscribe=One-Click".utf8),
                headers: ["Content-Type": "application/x-www-form-urlencoded"], as: .none)
            #expect(done.status == 200)
            // Beside the report of the sweep.
            #expect(try await fixture.calls(to: .consent).compactMap { $0["action"] } == ["withdraw"])
            #expect(try await fixture.owner.query("SELECT FROM delivery.objection").count == 1)
        }
    }
}
