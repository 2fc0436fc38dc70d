import Models

/// Exponential decay in whole numbers: what is left of points after a time, the same on every machine.
///
/// After dt of a half-life H it is ⌊v · f / 2⁶³⌋ halved ⌊dt / H⌋ times, rounded towards zero, where f is 2⁶³ · 2⁻ᵠ for
/// the rest φ of dt / H in 48 binary places, looked up digit by digit. It never grows with time, and in the end it is
/// nothing at all.
package struct HalfLife: Hashable, Sendable {
    package let length: Duration
    private let milliseconds: Int64

    package init(_ length: Duration) {
        self.length = length
        milliseconds = max(1, length.milliseconds)
    }

    /// What is left of `points` after `elapsed`, which is not negative.
    package func decay(_ points: Points, over elapsed: Duration) -> Points {
        let passed = max(0, elapsed.milliseconds)
        guard passed > 0, points.units != 0 else { return points }
        let (halvings, rest) = passed.quotientAndRemainder(dividingBy: milliseconds)
        guard halvings < 127 else { return .zero }
        let value = points.units.magnitude
        let factor = UInt128(
            rest == 0 ? Self.one : Self.factor((UInt128(rest) << 48) / UInt128(milliseconds)))
        // A product of up to 96 and of 64 bits, in two parts.
        let high = (value >> 64) * factor
        let low = (value & UInt128(UInt64.max)) * factor
        let left = Int128((high << 1 + low >> 63) >> UInt128(halvings))
        return Points(units: points.units < 0 ? -left : left)
    }

    /// Nothing is left after this long of points that have no more than these.
    package func silence(after points: Points) -> Duration {
        let bits = Int64(128 - points.units.magnitude.leadingZeroBitCount)
        return .milliseconds(milliseconds * bits)
    }

    /// About how long it takes until so many are left of so many, both above zero.
    func estimate(from start: Points, to end: Points) -> Duration {
        guard end < start else { return .zero }
        let halvings = Self.log2(Double(start.units)) - Self.log2(Double(end.units))
        return .milliseconds(Int64(min(halvings * Double(milliseconds), 1e17)))
    }

    /// The binary logarithm: the exponent, and of the rest the series of artanh.
    private static func log2(_ number: Double) -> Double {
        let step = (number.significand - 1) / (number.significand + 1)
        var (power, sum) = (step, 0.0)
        for odd in stride(from: 1.0, through: 39, by: 2) {
            sum += power / odd
            power *= step * step
        }
        return Double(number.exponent) + sum * 2 / 0.693_147_180_559_945_3
    }

    // MARK: Powers

    private static let one = UInt64(1) << 63

    /// 2⁻ᵠ in 63 binary places, of φ in 48.
    private static func factor(_ fraction: UInt128) -> UInt64 {
        var product = one
        for digit in 0..<6 {
            let value = Int((fraction >> UInt128(40 - 8 * digit)) & 0xFF)
            if value != 0 { product = multiplied(product, powers[digit * 256 + value]) }
        }
        return product
    }

    /// For each of the six digits to the base 256 of φ, what each of its values comes to.
    private static let powers: [UInt64] = {
        // 2 to the powers of −1/2, −1/4, …, by taking roots.
        var roots: [UInt64] = []
        var root = one >> 1
        for _ in 0..<48 {
            root = squareRoot(UInt128(root) << 63)
            roots.append(root)
        }
        return (0..<6).flatMap { digit in
            (0..<256).map { value in
                (0..<8).reduce(one) { product, bit in
                    value >> (7 - bit) & 1 == 0 ? product : multiplied(product, roots[digit * 8 + bit])
                }
            }
        }
    }()

    private static func multiplied(_ left: UInt64, _ right: UInt64) -> UInt64 {
        let (high, low) = left.multipliedFullWidth(by: right)
        return high << 1 | low >> 63
    }

    /// The square root, rounded down; bit by bit.
    private static func squareRoot(_ number: UInt128) -> UInt64 {
        var root: UInt128 = 0
        for bit in stride(from: 63, through: 0, by: -1) {
            let next = root | UInt128(1) << UInt128(bit)
            if next * next <= number { root = next }
        }
        return UInt64(root)
    }
}
