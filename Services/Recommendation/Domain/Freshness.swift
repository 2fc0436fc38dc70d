package import Models

/// Whether counts made earlier may still answer.
///
/// A sku that is bought all the time changes little with each order and is dear to count; one that is bought
/// rarely changes much and is cheap. So the bound is on the relative change and on the age together, and the
/// cost of counting stays in proportion to the orders that came in.
package struct Freshness: Sendable {
    /// How long a count serves while nothing changed. Merges, erasures and moving windows change who stands
    /// behind a count without changing the number of orders.
    let unchanged: Duration
    /// How long it serves while at most a tenth changed.
    let roughly: Duration

    /// For the neighbours of one sku.
    package static let neighbours = Freshness(unchanged: .hours(24), roughly: .minutes(15))
    /// For the list of popular products.
    package static let popular = Freshness(unchanged: .hours(1), roughly: .minutes(1))

    package func holds(computedAt: Instant, ordersThen: Int, ordersNow: Int, now: Instant) -> Bool {
        let age = now - computedAt
        if age < .zero { return false }
        if ordersThen == ordersNow { return age < unchanged }
        return age < roughly && abs(ordersNow - ordersThen) * 10 <= ordersThen
    }
}
