package import Models

/// Everything known about one order of one profile: what was bought in it and what was taken back.
///
/// Facts may arrive in any order and more than once; the state is the same whatever the sequence.
package struct Order: Hashable, Sendable {
    /// The shop's order id, or the message id of an order that came without one.
    package let key: String
    package private(set) var placement: Placement?
    /// By message id, so that a repeated refund counts once.
    package private(set) var refunds: [String: Refund]

    /// What was bought, as the latest `Order Completed` of this order says.
    package struct Placement: Hashable, Sendable {
        package let at: Instant
        package let messageID: String
        /// Quantity by sku; always positive.
        package let lines: [String: Int]

        package init(at: Instant, messageID: String, lines: [String: Int]) {
            self.at = at
            self.messageID = messageID
            self.lines = lines
        }
    }

    /// What was taken back.
    package struct Refund: Hashable, Sendable {
        package let at: Instant
        /// Quantity by sku; nil when the whole order was taken back.
        package let lines: [String: Int]?

        package init(at: Instant, lines: [String: Int]?) {
            self.at = at
            self.lines = lines
        }
    }

    package init(key: String, placement: Placement? = nil, refunds: [String: Refund] = [:]) {
        self.key = key
        self.placement = placement
        self.refunds = refunds
    }

    /// Takes a completion: the latest by time wins, the greater message id at the same time.
    package mutating func apply(_ new: Placement) {
        guard let old = placement else {
            placement = new
            return
        }
        if (old.at, old.messageID) < (new.at, new.messageID) { placement = new }
    }

    /// Takes a refund.
    package mutating func apply(_ refund: Refund, messageID: String) {
        refunds[messageID] = refund
    }

    /// Takes what another profile of the same person knows about the same order.
    package mutating func absorb(_ other: Order) {
        if let placement = other.placement { apply(placement) }
        refunds.merge(other.refunds) { mine, _ in mine }
    }

    /// What the buyer kept of it: bought, less what refunds of this order took back.
    package var kept: [String: Int] {
        guard let placement, !refunds.values.contains(where: { $0.lines == nil }) else { return [:] }
        var left = placement.lines
        for refund in refunds.values {
            for (sku, quantity) in refund.lines ?? [:] {
                guard let bought = left[sku] else { continue }
                left[sku] = bought > quantity ? bought - quantity : nil
            }
        }
        return left
    }
}
