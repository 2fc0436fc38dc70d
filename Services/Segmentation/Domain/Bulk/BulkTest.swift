import Models

/// What is asked of accumulators, by their places.
enum BulkTest: Hashable, Sendable {
    /// Whether a number is from `low` to `high`.
    case inside(Int, low: Int64, high: Int64)
    case total(Int, BulkBounds)
    /// Whether a total, shared out over so many, is within bounds; not if there are none.
    case mean(total: Int, of: Int, BulkBounds)
    /// Whether there are so many for each of the base, of which there must be at least some.
    case ratio(Int, to: Int, least: Int64, BulkBounds)
    /// Whether the latest that has waited long enough came after the latest answer, and not before `from`.
    case unanswered(open: Int, answer: Int, from: Int64)
}

/// An `AmountRange` as one comparison: `low × count + lowAbove ≤ total ≤ high × count − highBelow`.
struct BulkBounds: Hashable, Sendable {
    private var low: Int128 = 0
    private var lowAbove = -Self.beyond
    private var high: Int128 = 0
    private var highBelow = -Self.beyond

    /// More than any total, for where there is no bound.
    private static let beyond = Int128(1) << 120

    init(_ range: AmountRange) {
        switch range {
        case .atLeast(let amount): (low, lowAbove) = (Int128(amount.millionths), 0)
        case .atMost(let amount): (high, highBelow) = (Int128(amount.millionths), 0)
        case .greaterThan(let amount): (low, lowAbove) = (Int128(amount.millionths), 1)
        case .lessThan(let amount): (high, highBelow) = (Int128(amount.millionths), 1)
        case .exactly(let amount):
            (low, lowAbove) = (Int128(amount.millionths), 0)
            (high, highBelow) = (low, 0)
        case .between(let least, let most):
            (low, lowAbove) = (Int128(least.millionths), 0)
            (high, highBelow) = (Int128(most.millionths), 0)
        }
    }

    @inline(__always)
    func contains(_ total: Int128) -> Bool { total >= low &+ lowAbove && total <= high &- highBelow }

    @inline(__always)
    func contains(_ total: Int128, over count: Int64) -> Bool {
        let count = Int128(count)
        return total >= low &* count &+ lowAbove && total <= high &* count &- highBelow
    }
}
