import Foundation
package import Models

/// How popular one sku is.
package struct PopularSku: Hashable, Sendable {
    package let sku: String
    /// The sum over orders of `2^(-age / half-life)`, with age counted back from the newest order.
    package let score: Double
    /// Orders within the window.
    package let orders: Int
    /// Different customers within ``Popularity/recentDays`` days.
    package let recentCustomers: Int

    package init(sku: String, score: Double, orders: Int, recentCustomers: Int) {
        self.sku = sku
        self.score = score
        self.orders = orders
        self.recentCustomers = recentCustomers
    }

    /// The reason shown to people; true also where the newest orders are old.
    package var reason: String {
        if recentCustomers > 0 {
            return
                "Bought by \(counted(recentCustomers, "customer")) in the last \(Popularity.recentDays) days"
        }
        return "Ordered \(counted(orders, "time"))"
    }
}

/// What many people buy lately: orders counted with a half-life, so that last month's favourite fades.
package enum Popularity {
    package static let halfLifeDays = 14
    package static let recentDays = 30
    /// Orders older than this before the newest count for less than 2⁻⁷ and are left out.
    package static let windowDays = 7 * halfLifeDays

    private static let millisecondsPerDay = 86_400_000.0

    /// The weight of an order placed at `at` when the newest was placed at `newest`.
    package static func weight(of at: Instant, newest: Instant) -> Double {
        let days = Double(newest.milliseconds - at.milliseconds) / millisecondsPerDay
        return exp2(-days / Double(halfLifeDays))
    }

    /// Ranks by score, then by sku. Orders dated after `now` do not count yet.
    package static func rank(_ baskets: [Basket], now: Instant, limit: Int) -> [PopularSku] {
        let past = baskets.filter { $0.placedAt <= now }
        guard let newest = past.map(\.placedAt).max() else { return [] }
        let opens = newest - .days(windowDays)
        let recentOpens = now - .days(recentDays)
        var score: [String: Double] = [:]
        var recent: [String: Set<String>] = [:]
        var orders: [String: Int] = [:]
        for basket in past where basket.placedAt > opens {
            let weight = weight(of: basket.placedAt, newest: newest)
            for sku in basket.skus {
                score[sku, default: 0] += weight
                orders[sku, default: 0] += 1
                if basket.placedAt > recentOpens { recent[sku, default: []].insert(basket.customer) }
            }
        }
        let ranked = score.map { sku, score in
            PopularSku(
                sku: sku, score: score, orders: orders[sku] ?? 0,
                recentCustomers: recent[sku]?.count ?? 0)
        }
        return Array(ranked.sorted(by: precedes).prefix(limit))
    }

    package static func precedes(_ a: PopularSku, _ b: PopularSku) -> Bool {
        if a.score != b.score { return a.score > b.score }
        return a.sku.precedesInUTF8(b.sku)
    }
}

/// "1 customer", "3 customers".
func counted(_ number: Int, _ noun: String) -> String { number == 1 ? "1 \(noun)" : "\(number) \(noun)s" }
