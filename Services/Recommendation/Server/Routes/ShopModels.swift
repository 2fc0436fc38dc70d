import Models
import Postgres
import RecommendationDomain

/// The counts behind recommendations: kept ones while they are fresh, else made anew.
struct ShopModels: Sendable {
    /// How many neighbours of a sku are kept; more than are shown, because some are owned or out of stock.
    static let neighbourLimit = 100
    static let popularLimit = 500

    let pool: PostgresPool

    /// The best neighbours of each sku.
    func neighbours(of skus: [String], now: Instant) async throws -> [String: [Neighbour]] {
        guard !skus.isEmpty else { return [:] }
        let known = try await ModelStore.kept(skus, in: pool)
        var neighbours: [String: [Neighbour]] = [:]
        var stale: [String] = []
        for (sku, found) in known {
            if let kept = found.kept,
                Freshness.neighbours.holds(
                    computedAt: kept.computedAt, ordersThen: kept.orders, ordersNow: found.orders, now: now)
            {
                neighbours[sku] = kept.neighbours
            } else if found.orders > 0 {
                stale.append(sku)
            }
        }
        guard !stale.isEmpty else { return neighbours }
        let tallies = try await ModelStore.tally(stale, in: pool)
        let counts = try await ModelStore.orders(of: Array(Set(tallies.values.joined().map(\.sku))), in: pool)
        var made: [(sku: String, orders: Int, neighbours: [Neighbour])] = []
        for sku in stale {
            let tally = tallies[sku] ?? []
            let ranked = BoughtTogether.rank(
                tally.filter { $0.sku != sku }, seedOrders: tally.first { $0.sku == sku }?.orders ?? 0,
                orders: counts, limit: Self.neighbourLimit)
            neighbours[sku] = ranked
            made.append((sku, known[sku]?.orders ?? 0, ranked))
        }
        try await ModelStore.keep(made, at: now, in: pool)
        return neighbours
    }

    /// What many people buy lately, best first.
    func popular(now: Instant) async throws -> [PopularSku] {
        let (ordersNow, kept) = try await ModelStore.keptPopular(in: pool)
        if let kept,
            Freshness.popular.holds(
                computedAt: kept.computedAt, ordersThen: kept.orders, ordersNow: ordersNow, now: now)
        {
            return kept.skus
        }
        if ordersNow == 0 { return [] }
        return try await pool.transaction { transaction in
            // One counts, for all instances; meanwhile the others answer with what there was.
            let mayCount = try await ModelStore.lockPopular(in: transaction)
            if !mayCount, let kept { return kept.skus }
            let counted = try await ModelStore.countPopular(
                now: now, limit: Self.popularLimit, in: transaction)
            try await ModelStore.keepPopular(counted, orders: ordersNow, at: now, in: transaction)
            return counted
        }
    }
}
