package import Models

/// What a person has bought and not given back, over all orders of all their profiles.
package struct Possessions: Hashable, Sendable {
    /// Quantity by sku; always positive.
    package private(set) var quantities: [String: Int] = [:]
    /// When each sku that they still have was last bought.
    package private(set) var lastBought: [String: Instant] = [:]

    /// Folds orders; the same order known to several profiles counts once.
    ///
    /// A refund that names no known order (many shops number their credit notes on their own) takes back from
    /// what was bought until then, never below nothing: a return of something bought before the records begin
    /// must not hide a later purchase.
    package init(orders: [Order]) {
        var byKey: [String: Order] = [:]
        for order in orders {
            if byKey[order.key]?.absorb(order) == nil { byKey[order.key] = order }
        }
        var movements: [Movement] = []
        for order in byKey.values {
            if let placement = order.placement {
                for (sku, quantity) in order.kept {
                    movements.append(Movement(at: placement.at, sku: sku, quantity: quantity))
                }
            } else {
                for refund in order.refunds.values {
                    for (sku, quantity) in refund.lines ?? [:] {
                        movements.append(Movement(at: refund.at, sku: sku, quantity: -quantity))
                    }
                }
            }
        }
        for movement in movements.sorted(by: { ($0.at, -$0.quantity) < ($1.at, -$1.quantity) }) {
            let left = (quantities[movement.sku] ?? 0) + movement.quantity
            quantities[movement.sku] = left > 0 ? left : nil
            if left <= 0 {
                lastBought[movement.sku] = nil
            } else if movement.quantity > 0 {
                lastBought[movement.sku] = movement.at
            }
        }
    }

    private struct Movement {
        var at: Instant
        var sku: String
        var quantity: Int
    }

    /// The skus they have, the last bought first.
    package var newestFirst: [String] {
        lastBought.sorted { ($1.value, $0.key) < ($0.value, $1.key) }.map(\.key)
    }
}
