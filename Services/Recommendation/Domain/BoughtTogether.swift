package import Models

/// One order as the models see it: who kept what of it, and when it was placed.
package struct Basket: Hashable, Sendable {
    package let customer: String
    package let skus: Set<String>
    package let placedAt: Instant

    package init(customer: String, skus: Set<String>, placedAt: Instant) {
        self.customer = customer
        self.skus = skus
        self.placedAt = placedAt
    }
}

/// How often one sku was bought in the same order as another.
package struct CoPurchase: Hashable, Sendable {
    package let sku: String
    /// Orders that hold both.
    package let orders: Int
    /// Different customers who placed those.
    package let customers: Int

    package init(sku: String, orders: Int, customers: Int) {
        self.sku = sku
        self.orders = orders
        self.customers = customers
    }
}

/// A sku that goes with another, and how well.
package struct Neighbour: Hashable, Sendable, Codable {
    package let sku: String
    package let customers: Int
    /// Cosine of the two skus' order sets, 0…1.
    package let score: Double

    package init(sku: String, customers: Int, score: Double) {
        self.sku = sku
        self.customers = customers
        self.score = score
    }
}

/// Association of products by the orders that hold both: cosine similarity with a minimum support.
///
/// The cosine `n(a,b) / √(n(a)·n(b))` is high when the two are mostly bought together; unlike a plain count it
/// does not put the bestsellers next to everything, and unlike lift it does not favour what was bought once.
package enum BoughtTogether {
    /// How many different customers must have bought the pair before it is suggested.
    package static let minimumCustomers = 2
    /// How many of the latest orders of a sku are looked at.
    package static let ordersConsidered = 1_000

    /// Counts what was bought together with `seed`.
    package static func tally(of seed: String, in baskets: [Basket]) -> [CoPurchase] {
        var orders: [String: Int] = [:]
        var customers: [String: Set<String>] = [:]
        for basket in baskets where basket.skus.contains(seed) {
            for sku in basket.skus where sku != seed {
                orders[sku, default: 0] += 1
                customers[sku, default: []].insert(basket.customer)
            }
        }
        return orders.map {
            CoPurchase(sku: $0.key, orders: $0.value, customers: customers[$0.key]?.count ?? 0)
        }
    }

    /// The best neighbours: by cosine, then by customers, then by sku.
    ///
    /// `seedOrders` is the number of orders the tally was made from; `orders` the number of orders of each sku.
    package static func rank(
        _ tally: [CoPurchase], seedOrders: Int, orders: [String: Int], limit: Int
    ) -> [Neighbour] {
        let neighbours = tally.compactMap { pair -> Neighbour? in
            // A count that lags behind the tally must not lift the cosine above 1.
            let other = max(orders[pair.sku] ?? 0, pair.orders)
            guard pair.customers >= minimumCustomers, seedOrders > 0 else { return nil }
            let product = Double(max(seedOrders, pair.orders)) * Double(other)
            return Neighbour(
                sku: pair.sku, customers: pair.customers,
                score: Double(pair.orders) / product.squareRoot())
        }
        return Array(neighbours.sorted(by: precedes).prefix(limit))
    }

    static func precedes(_ a: Neighbour, _ b: Neighbour) -> Bool {
        if a.score != b.score { return a.score > b.score }
        if a.customers != b.customers { return a.customers > b.customers }
        return a.sku.precedesInUTF8(b.sku)
    }
}
