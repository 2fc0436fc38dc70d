/// The usual names for people by the recency and the frequency of their orders. Of everybody who has ordered it is exactly one.
package enum RFMSegment: String, CaseIterable, Sendable {
    case champions = "Champions"
    case loyalCustomers = "Loyal Customers"
    case potentialLoyalists = "Potential Loyalists"
    case newCustomers = "New Customers"
    case promising = "Promising"
    case needAttention = "Need Attention"
    case aboutToSleep = "About To Sleep"
    case atRisk = "At Risk"
    case cantLoseThem = "Can't Lose Them"
    case hibernating = "Hibernating"
    case lost = "Lost"

    /// The scores of those in it.
    package var recency: ClosedRange<Int> { scores.recency }
    package var frequency: ClosedRange<Int> { scores.frequency }

    private var scores: (recency: ClosedRange<Int>, frequency: ClosedRange<Int>) {
        switch self {
        case .champions: (5...5, 4...5)
        case .loyalCustomers: (3...4, 4...5)
        case .potentialLoyalists: (4...5, 2...3)
        case .newCustomers: (5...5, 1...1)
        case .promising: (4...4, 1...1)
        case .needAttention: (3...3, 3...3)
        case .aboutToSleep: (3...3, 1...2)
        case .atRisk: (1...2, 3...4)
        case .cantLoseThem: (1...2, 5...5)
        case .hibernating: (2...2, 1...2)
        case .lost: (1...1, 1...2)
        }
    }

    /// Where somebody with these scores is.
    package init?(_ scores: RFMScores) {
        let found = Self.allCases.first {
            $0.recency.contains(scores.recency) && $0.frequency.contains(scores.frequency)
        }
        guard let found else { return nil }
        self = found
    }
}
