import Foundation
import Models
import RecommendationDomain
import Testing

/// Baskets of a random shop: few products and customers, so that ties and repetitions are common.
func randomBaskets(_ count: Int, now: Instant, using generator: inout SeededGenerator) -> [Basket] {
    (0..<count).map { _ in
        Basket(
            customer: "c\(Int.random(in: 0..<6, using: &generator))",
            skus: Set(
                (0..<Int.random(in: 0...4, using: &generator)).map { _ in
                    "s\(Int.random(in: 0..<7, using: &generator))"
                }),
            placedAt: now - .hours(Int.random(in: -2...(24 * 60), using: &generator)))
    }
}

@Suite("Rankers")
struct RankerTests {
    private let now = Instant(milliseconds: 1_700_000_000_000)

    @Test("bought together agrees with counting every pair by hand")
    func boughtTogether() {
        var generator = seededGenerator()
        for _ in 0..<300 {
            let baskets = randomBaskets(
                Int.random(in: 0...40, using: &generator), now: now, using: &generator)
            let skus = (0..<7).map { "s\($0)" }
            let orders = Dictionary(
                uniqueKeysWithValues: skus.map { sku in (sku, baskets.count { $0.skus.contains(sku) }) })
            for seed in skus {
                var expected: [(sku: String, customers: Int, score: Double)] = []
                for other in skus where other != seed {
                    let both = baskets.filter { $0.skus.contains(seed) && $0.skus.contains(other) }
                    let customers = Set(both.map(\.customer)).count
                    guard customers >= 2 else { continue }
                    let product = Double(orders[seed] ?? 0) * Double(orders[other] ?? 0)
                    expected.append((other, customers, Double(both.count) / product.squareRoot()))
                }
                expected.sort { ($1.score, $1.customers, $0.sku) < ($0.score, $0.customers, $1.sku) }
                let found = BoughtTogether.rank(
                    BoughtTogether.tally(of: seed, in: baskets.shuffled(using: &generator)),
                    seedOrders: orders[seed] ?? 0, orders: orders, limit: 3)
                #expect(found.map(\.sku) == expected.prefix(3).map(\.sku))
                #expect(found.map(\.customers) == expected.prefix(3).map(\.customers))
                #expect(found.allSatisfy { $0.score > 0 && $0.score <= 1 })
            }
        }
    }

    @Test("popular agrees with adding up the decayed orders by hand")
    func popular() {
        var generator = seededGenerator()
        for _ in 0..<300 {
            let baskets = randomBaskets(
                Int.random(in: 0...40, using: &generator), now: now, using: &generator)
            let past = baskets.filter { $0.placedAt <= now }
            let ranked = Popularity.rank(baskets, now: now, limit: 100)
            guard let newest = past.map(\.placedAt).max() else {
                #expect(ranked.isEmpty)
                continue
            }
            #expect(Set(ranked.map(\.sku)) == Set(past.flatMap(\.skus)))
            for popular in ranked {
                let with = past.filter { $0.skus.contains(popular.sku) }
                let score = with.reduce(0) { sum, basket in
                    sum
                        + pow(
                            0.5,
                            Double(newest.milliseconds - basket.placedAt.milliseconds) / (14 * 86_400_000))
                }
                #expect(abs(popular.score - score) < 1e-9)
                #expect(popular.orders == with.count)
                #expect(
                    popular.recentCustomers
                        == Set(with.filter { $0.placedAt > now - .days(30) }.map(\.customer)).count)
            }
            for (a, b) in zip(ranked, ranked.dropFirst()) { #expect(a.score >= b.score) }
        }
    }

    @Test("a favourite of last season gives way to what is bought now, and its reason stays true")
    func fading() {
        let old = (0..<10).map { Basket(customer: "o\($0)", skus: ["old"], placedAt: now - .days(90)) }
        let new = (0..<2).map { Basket(customer: "n\($0)", skus: ["new"], placedAt: now - .days(1)) }
        let ranked = Popularity.rank(old + new, now: now, limit: 2)
        #expect(ranked.map(\.sku) == ["new", "old"])
        #expect(
            ranked.map(\.reason) == ["Bought by 2 customers in the last 30 days", "Ordered 10 times"])
    }

    @Test("what is recommended is available, not theirs, at most as many as asked for, and no sku twice")
    func invariants() {
        var generator = seededGenerator()
        for _ in 0..<500 {
            let baskets = randomBaskets(40, now: now, using: &generator)
            let skus = (0..<7).map { "s\($0)" }
            func some() -> [String] { skus.filter { _ in Bool.random(using: &generator) } }
            let orders = Dictionary(
                uniqueKeysWithValues: skus.map { sku in (sku, baskets.count { $0.skus.contains(sku) }) })
            let seeds = some().map {
                Seed(sku: $0, origin: Seed.Origin.allCases.randomElement(using: &generator) ?? .cart)
            }
            let facts = Recommender.Facts(
                seeds: seeds,
                neighbours: Dictionary(
                    uniqueKeysWithValues: seeds.map { seed in
                        (
                            seed.sku,
                            BoughtTogether.rank(
                                BoughtTogether.tally(of: seed.sku, in: baskets),
                                seedOrders: orders[seed.sku] ?? 0,
                                orders: orders, limit: 10)
                        )
                    }),
                popular: Popularity.rank(baskets, now: now, limit: 100), excluded: Set(some()),
                available: Dictionary(uniqueKeysWithValues: some().map { ($0, "Name of \($0)") }),
                seedNames: [:])
            let limit = Int.random(in: 1...8, using: &generator)
            for strategy in Strategy.allCases {
                let chosen = Recommender.recommend(strategy, from: facts, limit: limit)
                #expect(chosen.count <= limit)
                #expect(Set(chosen.map(\.sku)).count == chosen.count)
                for item in chosen {
                    #expect(facts.available[item.sku] != nil)
                    #expect(!facts.excluded.contains(item.sku))
                    #expect((item.customers ?? item.orders ?? 0) > 0)
                    #expect(strategy == .best || item.strategy == strategy)
                }
                // Whatever is popular and may be shown fills the room that is left.
                if strategy == .best {
                    let possible = Set(facts.popular.map(\.sku)).intersection(facts.available.keys)
                        .subtracting(facts.excluded)
                    #expect(chosen.count >= min(limit, possible.count))
                }
                #expect(chosen == Recommender.recommend(strategy, from: facts, limit: limit))
            }
        }
    }

    @Test("kept counts serve while little changed and not for long")
    func freshness() {
        func fresh(_ then: Int, _ orders: Int, after age: Duration) -> Bool {
            Freshness.neighbours.holds(computedAt: now, ordersThen: then, ordersNow: orders, now: now + age)
        }
        #expect(fresh(100, 100, after: .hours(23)))
        #expect(!fresh(100, 100, after: .hours(25)))
        #expect(fresh(100, 110, after: .minutes(14)))
        #expect(!fresh(100, 111, after: .zero))
        #expect(!fresh(100, 101, after: .minutes(16)))
        #expect(!fresh(3, 4, after: .zero))
        #expect(!fresh(100, 100, after: .seconds(-1)))
    }
}
