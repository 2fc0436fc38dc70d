import Models

/// What a score comes to, in units of 2⁻⁴⁰ of a millionth of a point: fine enough that the instant at which it passes a
/// number is that of the numbers on paper.
package struct Points: Hashable, Comparable, Sendable {
    /// How many units a millionth has.
    package static let scale = 1 << 40

    package var units: Int128

    package static let zero = Points(units: 0)

    package init(units: Int128) { self.units = units }

    package init(_ amount: Amount) { units = Int128(amount.millionths) << 40 }

    /// As an amount; what is less than a millionth is left out.
    package var amount: Amount { Amount(millionths: Int64(clamping: units / Int128(Self.scale))) }

    package static func < (left: Points, right: Points) -> Bool { left.units < right.units }
    package static func + (left: Points, right: Points) -> Points { Points(units: left.units + right.units) }
    package static func - (left: Points, right: Points) -> Points { Points(units: left.units - right.units) }
    package static prefix func - (points: Points) -> Points { Points(units: -points.units) }
}

extension AmountRange {
    /// Whether points pass; exactly, without rounding.
    func contains(_ points: Points) -> Bool { contains(points.units, over: Points.scale) }

    /// The numbers at which it begins or ceases to hold.
    var bounds: [Amount] {
        switch self {
        case .atLeast(let bound), .atMost(let bound), .greaterThan(let bound), .lessThan(let bound),
            .exactly(let bound):
            [bound]
        case .between(let low, let high): [low, high]
        }
    }
}
