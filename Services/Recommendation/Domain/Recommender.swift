import Models

/// Which rule chooses.
package enum Strategy: String, Sendable, Codable, CaseIterable {
    /// What goes with what they have in the cart, viewed and bought; filled up with what is popular.
    case best
    case boughtTogether = "bought-together"
    case popular
}

/// One product to show to one person, and why.
package struct Recommendation: Hashable, Sendable {
    package let sku: String
    /// The rule that chose this one: never `best`.
    package let strategy: Strategy
    /// A sentence that can be shown to the person.
    package let reason: String
    /// The product it goes with, for `bought-together`.
    package let seed: Seed?
    /// How many customers stand behind the reason; nil where orders do.
    package let customers: Int?
    /// How many orders stand behind the reason, where no customers do.
    package let orders: Int?
}

/// Chooses products from what the models say, for one person, at one instant.
package enum Recommender {
    /// The facts a choice is made from.
    package struct Facts: Sendable {
        package var seeds: [Seed]
        /// The best neighbours of each seed, best first.
        package var neighbours: [String: [Neighbour]]
        package var popular: [PopularSku]
        /// What the person has, or has in the cart.
        package var excluded: Set<String>
        /// The names of products that can be recommended: in the catalog, in stock, not discontinued.
        package var available: [String: String]
        /// Names for seeds, which need not be available any more.
        package var seedNames: [String: String]

        package init(
            seeds: [Seed], neighbours: [String: [Neighbour]], popular: [PopularSku], excluded: Set<String>,
            available: [String: String], seedNames: [String: String]
        ) {
            self.seeds = seeds
            self.neighbours = neighbours
            self.popular = popular
            self.excluded = excluded
            self.available = available
            self.seedNames = seedNames
        }
    }

    /// At most `limit` recommendations, best first, no sku twice.
    package static func recommend(_ strategy: Strategy, from facts: Facts, limit: Int) -> [Recommendation] {
        var chosen: [Recommendation] = []
        if strategy != .popular { chosen = boughtTogether(facts, limit: limit) }
        if strategy != .boughtTogether, chosen.count < limit {
            let taken = Set(chosen.map(\.sku))
            chosen += popular(facts, except: taken, limit: limit - chosen.count)
        }
        return chosen
    }

    private static func boughtTogether(_ facts: Facts, limit: Int) -> [Recommendation] {
        var best: [String: (score: Double, seed: Seed, neighbour: Neighbour)] = [:]
        let seeds = Set(facts.seeds.filter { $0.origin == .asked }.map(\.sku))
        for seed in facts.seeds {
            for neighbour in facts.neighbours[seed.sku] ?? [] {
                guard facts.available[neighbour.sku] != nil, !facts.excluded.contains(neighbour.sku),
                    !seeds.contains(neighbour.sku)
                else { continue }
                let score = neighbour.score * seed.origin.weight
                // Strictly better only: of equal seeds the first, which is the closest to a purchase, is named.
                if let old = best[neighbour.sku], old.score >= score { continue }
                best[neighbour.sku] = (score, seed, neighbour)
            }
        }
        let ranked = best.values.sorted { a, b in
            if a.score != b.score { return a.score > b.score }
            if a.neighbour.customers != b.neighbour.customers {
                return a.neighbour.customers > b.neighbour.customers
            }
            return a.neighbour.sku.precedesInUTF8(b.neighbour.sku)
        }
        return ranked.prefix(limit).map { entry in
            let name = facts.seedNames[entry.seed.sku] ?? entry.seed.sku
            let who = counted(entry.neighbour.customers, "customer")
            return Recommendation(
                sku: entry.neighbour.sku, strategy: .boughtTogether,
                reason: "Bought together with \(name) by \(who)", seed: entry.seed,
                customers: entry.neighbour.customers, orders: nil)
        }
    }

    private static func popular(
        _ facts: Facts, except taken: Set<String>, limit: Int
    ) -> [Recommendation] {
        facts.popular.lazy
            .filter {
                facts.available[$0.sku] != nil && !facts.excluded.contains($0.sku) && !taken.contains($0.sku)
            }
            .prefix(limit)
            .map {
                Recommendation(
                    sku: $0.sku, strategy: .popular, reason: $0.reason, seed: nil,
                    customers: $0.recentCustomers > 0 ? $0.recentCustomers : nil,
                    orders: $0.recentCustomers > 0 ? nil : $0.orders)
            }
    }
}
