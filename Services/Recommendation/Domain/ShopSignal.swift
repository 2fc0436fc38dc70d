package import Models

/// What an event of the shop vocabulary (Segment's e-commerce spec) means for recommendations.
package enum ShopSignal: Hashable, Sendable {
    case ordered(key: String, Order.Placement)
    case refunded(key: String, messageID: String, Order.Refund)
    case interest(Interest)

    /// How many lines of one order are taken; the rest is left out.
    package static let lineLimit = 10_000
    /// The longest sku and order id that are taken.
    package static let keyLimit = 256

    /// Nil for events that say nothing here, or nothing usable: those stay in the timeline only.
    package init?(_ event: TrackingEvent) {
        guard event.kind == .track, let name = event.name else { return nil }
        let properties = event.properties
        let at = event.timestamp
        switch name {
        case "Order Completed":
            let lines = Self.lines(properties)
            guard !lines.isEmpty else { return nil }
            self = .ordered(
                key: Self.orderKey(event),
                Order.Placement(at: at, messageID: event.messageID, lines: lines))
        case "Order Refunded":
            let named = properties["products"]?.array?.isEmpty == false
            let lines = Self.lines(properties)
            // A list of products of which none can be read must not turn into a refund of everything.
            if named && lines.isEmpty { return nil }
            // Without an order id there is no whole order that could be meant.
            if !named && Self.key(properties["order_id"]) == nil { return nil }
            self = .refunded(
                key: Self.orderKey(event), messageID: event.messageID,
                Order.Refund(at: at, lines: named ? lines : nil))
        case "Product Viewed":
            guard let sku = Self.sku(properties) else { return nil }
            self = .interest(Interest(sku: sku, viewedAt: at))
        case "Product Added":
            guard let sku = Self.sku(properties) else { return nil }
            self = .interest(Interest(sku: sku, addedAt: at))
        case "Product Removed":
            guard let sku = Self.sku(properties) else { return nil }
            self = .interest(Interest(sku: sku, removedAt: at))
        default: return nil
        }
    }

    private static func orderKey(_ event: TrackingEvent) -> String {
        key(event.properties["order_id"]) ?? event.messageID
    }

    private static func lines(_ properties: [String: JSON]) -> [String: Int] {
        var lines: [String: Int] = [:]
        for product in (properties["products"]?.array ?? []).prefix(lineLimit) {
            guard let product = product.object, let sku = sku(product) else { continue }
            // Credit notes often carry negative quantities; how much is meant is the same.
            let quantity = abs(number(product["quantity"]) ?? 1).rounded()
            guard quantity >= 1, quantity <= 1_000_000_000 else { continue }
            lines[sku, default: 0] += Int(quantity)
        }
        return lines
    }

    private static func sku(_ product: [String: JSON]) -> String? {
        key(product["sku"]) ?? key(product["product_id"])
    }

    /// Ids come as strings and as whole numbers.
    private static func key(_ value: JSON?) -> String? {
        let text: String
        switch value {
        case .string(let string): text = string
        case .integer(let integer): text = String(integer)
        default: return nil
        }
        return (1...keyLimit).contains(text.utf8.count) ? text : nil
    }

    private static func number(_ value: JSON?) -> Double? {
        if let text = value?.string { return Double(text) }
        return value?.number
    }
}
