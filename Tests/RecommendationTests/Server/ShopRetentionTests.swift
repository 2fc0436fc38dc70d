import Models
import Postgres
import ServiceKit
import TestSupport
import Testing

@Suite("Retention of a shop's history", .enabled(if: TestDatabase.isAvailable, "\(TestDatabase.howToEnable)"))
struct ShopRetentionTests {
    @Test("orders and interests go when their time is over, and the counts say what is left")
    func sweeps() async throws {
        try await ShopFixture.with { fixture in
            let person = try await fixture.makeProfile()
            try await fixture.stock(["a", "b", "c"])
            let now = fixture.clock.now
            try await fixture.append([
                fixture.order("old", ["a", "b"], of: person, at: now - .days(40)),
                fixture.order("new", ["a", "c"], of: person, at: now - .days(10)),
                fixture.track("Product Viewed", ["sku": "b"], of: person, at: now - .days(40)),
                fixture.track("Product Viewed", ["sku": "c"], of: person, at: now - .days(40)),
                fixture.track("Product Viewed", ["sku": "c"], of: person, at: now - .days(10)),
            ])
            try await fixture.drain()
            try await fixture.owner.execute(
                """
                INSERT INTO profiles.retention_policy (version, body, source, created_at, created_by)
                VALUES (2, '{"keep": {"recommendationHistory": "30d"}}', '', now(), 'key test')
                """)
            try await fixture.service.retention(limit: 1).sweep()
            let orders = try await fixture.owner.query("SELECT order_key FROM recommendation.shop_order")
            #expect(orders.count == 1)
            let interests = try await fixture.owner.query(
                "SELECT sku FROM recommendation.interest WHERE viewed_at IS NOT NULL ORDER BY sku")
            #expect(try interests.map { try $0.get("sku", as: String.self) } == ["c"])
            let counts = try await fixture.owner.query(
                "SELECT sku, orders FROM recommendation.sku_orders WHERE orders > 0 ORDER BY sku")
            #expect(try counts.map { try $0.get("sku", as: String.self) } == ["a", "c"])
            #expect(try counts.allSatisfy { try $0.get("orders", as: Int64.self) == 1 })
            let gone = try await fixture.service.letGo()
            #expect(gone["recommendationHistory orders"] == 1, "\(gone)")
            #expect((gone["recommendationHistory interests"] ?? 0) >= 1, "\(gone)")
        }
    }
}
