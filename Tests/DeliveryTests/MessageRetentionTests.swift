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
}
