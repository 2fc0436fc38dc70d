import Foundation
import Models
import Postgres
import Sealing
import Streams
import ServiceKit
import TestSupport
import Testing

@Suite("Retention of journeys", .enabled(if: TestDatabase.isAvailable, "\(TestDatabase.howToEnable)"))
struct JourneyRetentionTests {
    @Test(
        "journeys that were left go when their time is over, with what they asked to be sent, and nobody is let in once more"
    )
    func sweeps() async throws {
        try await JourneysFixture.with { fixture in
            try await fixture.know([fixture.ada, fixture.bob])
            let journey = """
                name: Once
                status: active
                entry: {event: Order Completed, reentry: once}
                steps:
                  - send: {template: thanks, channel: email, purpose: marketing}
                """
            #expect(try await fixture.put(journey).status < 300)
            let again = journey.replacingOccurrences(of: "Order Completed", with: "Product Viewed")
                .replacingOccurrences(of: "once", with: "always")
            #expect(try await fixture.put(again, as: "again").status < 300)
            try await fixture.happen(fixture.event("Product Viewed", "v0", of: fixture.ada))
            try await fixture.happen(fixture.event("Order Completed", "o0", of: fixture.ada))
            try await fixture.drain()
            #expect(try await fixture.count("instance") == 2)
            try await fixture.harness.keep(["keep": ["journeyHistory": "30d"]], in: fixture.database)
            try await fixture.pass(.days(20))
            try await fixture.happen(fixture.event("Order Completed", "o1", of: fixture.bob))
            try await fixture.happen(fixture.event("Product Viewed", "v1", of: fixture.ada))
            try await fixture.drain()
            let worker = try fixture.harness.retention(limit: 1)
            #expect(try await worker.sweep() == 0)
            try await fixture.pass(.days(11))
            #expect(try await worker.sweep() > 0)
            // Ada's first time in the second journey is gone; the last time in each stays.
            #expect(try await fixture.count("instance") == 3)
            #expect(try await fixture.count("intent") == 3)
            let left = try await fixture.owner.query(
                "SELECT DISTINCT profile_id, journey_id FROM journeys.instance_history WHERE instance_id IS NOT NULL ORDER BY journey_id"
            )
            #expect(
                try left.map { try $0.get("profile_id", as: ProfileID.self) } == [fixture.ada, fixture.bob])
            let intents = try await fixture.intents()
            #expect(intents.count == 4)
            #expect(intents.filter { $0.variables.isEmpty }.count >= 2)
            try await fixture.happen(fixture.event("Order Completed", "o2", of: fixture.ada))
            try await fixture.drain()
            #expect(try await fixture.count("instance") == 3)
            #expect(try await worker.sweep() == 0)
        }
    }
}
