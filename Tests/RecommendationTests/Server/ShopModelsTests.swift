import Foundation
import Models
import Postgres
import RecommendationDomain
import TestSupport
import Testing

@Suite("Models from SQL", .enabled(if: TestDatabase.isAvailable, "\(TestDatabase.howToEnable)"))
struct ShopModelsTests {
    @Test("what the service answers is what the rankers say of the same orders, refunds and merges")
    func oracle() async throws {
        var generator = seededGenerator()
        for round in 0..<3 {
            try await ShopFixture.with { fixture in
                var people: [ProfileID] = []
                for _ in 0..<6 { people.append(try await fixture.makeProfile()) }
                let skus = (0..<7).map { "s\($0)" }
                try await fixture.stock(skus)
                var orders: [(owner: Int, order: Order)] = []
                var facts: [ProfileFact] = []
                for number in 0..<40 {
                    let owner = Int.random(in: 0..<people.count, using: &generator)
                    let bought = Array(
                        Set(
                            (0..<Int.random(in: 1...4, using: &generator)).map { _ in
                                skus[Int.random(in: 0..<skus.count, using: &generator)]
                            }))
                    let placed = fixture.clock.now - .hours(Int.random(in: 0...(24 * 60), using: &generator))
                    var order = Order(key: "o\(number)")
                    order.apply(
                        Order.Placement(
                            at: placed, messageID: "",
                            lines: Dictionary(uniqueKeysWithValues: bought.map { ($0, 1) })))
                    facts.append(fixture.order(order.key, bought, of: people[owner], at: placed))
                    if Int.random(in: 0..<4, using: &generator) == 0 {
                        let back = bought.prefix(Int.random(in: 1...bought.count, using: &generator))
                        order.apply(
                            Order.Refund(
                                at: placed, lines: Dictionary(uniqueKeysWithValues: back.map { ($0, 1) })),
                            messageID: "r")
                        facts.append(
                            fixture.track(
                                "Order Refunded",
                                [
                                    "order_id": .string(order.key),
                                    "products": .array(back.map { ["sku": .string($0), "quantity": 1] }),
                                ], of: people[owner]))
                    }
                    orders.append((owner, order))
                }
                // Late, doubled and shuffled; and in several batches.
                let shuffled = (facts + facts.prefix(10)).shuffled(using: &generator)
                try await fixture.append(Array(shuffled.prefix(20)))
                try await fixture.drain()
                try await fixture.append(Array(shuffled.dropFirst(20)))
                try await fixture.drain()
                try await fixture.merge(people[5], into: people[0])
                try await fixture.drain()
                let baskets = orders.filter { !$0.order.kept.isEmpty }.map { entry in
                    Basket(
                        customer: "\(entry.owner == 5 ? 0 : entry.owner)", skus: Set(entry.order.kept.keys),
                        placedAt: entry.order.placement?.at ?? fixture.clock.now)
                }
                let counts = Dictionary(
                    uniqueKeysWithValues: skus.map { sku in (sku, baskets.count { $0.skus.contains(sku) }) })
                let rows = try await fixture.owner.query("SELECT sku, orders FROM recommendation.sku_orders")
                for row in rows { #expect(try counts[row.get("sku")] == row.get("orders", as: Int.self)) }
                for sku in skus {
                    let expected = BoughtTogether.rank(
                        BoughtTogether.tally(of: sku, in: baskets), seedOrders: counts[sku] ?? 0,
                        orders: counts,
                        limit: 50)
                    let found = try await fixture.recommend("strategy=bought-together&sku=\(sku)&limit=50")
                    #expect(found.compactMap { $0["sku"]?.string } == expected.map(\.sku), "round \(round)")
                    #expect(
                        found.compactMap { $0["evidence"]?["customers"]?.integer }
                            == expected.map { Int64($0.customers) })
                    // From the kept counts the same.
                    #expect(
                        try await fixture.recommend("strategy=bought-together&sku=\(sku)&limit=50") == found)
                }
                let popular = Popularity.rank(baskets, now: fixture.clock.now, limit: 50)
                let found = try await fixture.recommend("strategy=popular&limit=50")
                #expect(found.compactMap { $0["sku"]?.string } == popular.map(\.sku))
                #expect(found.compactMap { $0["reason"]?.string } == popular.map(\.reason))
                for (index, person) in people.enumerated() {
                    let owners = [0, 5].contains(index) ? [0, 5] : [index]
                    let owned = Possessions(orders: orders.filter { owners.contains($0.owner) }.map(\.order))
                    let shown = Set(try await fixture.skus("profileId=\(person)&limit=50"))
                    #expect(shown.isDisjoint(with: owned.quantities.keys))
                    #expect(shown == Set(popular.map(\.sku)).subtracting(owned.quantities.keys))
                }
            }
        }
    }
}
