package import Models

/// What a profile did with one product, short of buying it: the latest time of each.
package struct Interest: Hashable, Sendable {
    package let sku: String
    package private(set) var viewedAt: Instant?
    package private(set) var addedAt: Instant?
    package private(set) var removedAt: Instant?

    package init(sku: String, viewedAt: Instant? = nil, addedAt: Instant? = nil, removedAt: Instant? = nil) {
        self.sku = sku
        self.viewedAt = viewedAt
        self.addedAt = addedAt
        self.removedAt = removedAt
    }

    /// Takes what another event, or another profile of the same person, says about the same product.
    package mutating func absorb(_ other: Interest) {
        viewedAt = Self.later(viewedAt, other.viewedAt)
        addedAt = Self.later(addedAt, other.addedAt)
        removedAt = Self.later(removedAt, other.removedAt)
    }

    /// When it was put in the cart, if it still lies there: neither removed nor followed by an order.
    package func inCartSince(lastOrder: Instant?) -> Instant? {
        guard let addedAt else { return nil }
        if let removedAt, removedAt >= addedAt { return nil }
        if let lastOrder, lastOrder >= addedAt { return nil }
        return addedAt
    }

    private static func later(_ a: Instant?, _ b: Instant?) -> Instant? {
        guard let a, let b else { return a ?? b }
        return max(a, b)
    }
}
