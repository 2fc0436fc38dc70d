package import Models

/// A product from which neighbours are sought.
package struct Seed: Hashable, Sendable {
    package let sku: String
    package let origin: Origin

    /// Why the product is a seed; what is closer to a purchase weighs more.
    package enum Origin: String, Sendable, Codable, CaseIterable {
        case asked, cart, viewed, bought

        var weight: Double {
            switch self {
            case .asked, .cart: 1
            case .viewed: 0.8
            case .bought: 0.6
            }
        }
    }

    package init(sku: String, origin: Origin) {
        self.sku = sku
        self.origin = origin
    }

    /// How many seeds of one origin are followed.
    package static let limitPerOrigin = 5
    /// A view counts as a signal for so long.
    package static let viewedDays = 30

    /// The seeds of a person: what was asked for, then what lies in the cart, was viewed lately, and was bought.
    package static func choose(
        asked: String?, interests: [Interest], orders: [Order], possessions: Possessions, now: Instant
    ) -> [Seed] {
        let lastOrder = orders.compactMap { $0.placement?.at }.max()
        let opens = now - .days(viewedDays)
        let cart = newest(
            interests.compactMap { i in i.inCartSince(lastOrder: lastOrder).map { (i.sku, $0) } })
        let viewed = newest(
            interests.compactMap { i in
                guard let at = i.viewedAt, at > opens else { return nil }
                return (i.sku, at)
            })
        let bought = Array(possessions.newestFirst.prefix(limitPerOrigin))
        var seen: Set<String> = []
        return
            ([(Origin.asked, asked.map { [$0] } ?? []), (.cart, cart), (.viewed, viewed), (.bought, bought)])
            .flatMap { origin, skus in
                skus.filter { seen.insert($0).inserted }.map { Seed(sku: $0, origin: origin) }
            }
    }

    private static func newest(_ dated: [(sku: String, at: Instant)]) -> [String] {
        dated.sorted { ($1.at, $0.sku) < ($0.at, $1.sku) }.prefix(limitPerOrigin).map(\.sku)
    }
}

/// The products that lie in a person's cart.
package func cartContents(interests: [Interest], orders: [Order]) -> Set<String> {
    let lastOrder = orders.compactMap { $0.placement?.at }.max()
    return Set(interests.filter { $0.inCartSince(lastOrder: lastOrder) != nil }.map(\.sku))
}
