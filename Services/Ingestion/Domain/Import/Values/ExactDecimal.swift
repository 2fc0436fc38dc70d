/// A decimal number without rounding, for money: `digits × 10^-scale`.
package struct ExactDecimal: Sendable {
    private(set) var digits: Int128
    private(set) var scale: Int

    package static let zero = ExactDecimal(digits: 0, scale: 0)

    package init(digits: Int128, scale: Int) {
        self.digits = digits
        self.scale = scale
    }

    package init(_ integer: Int64) { self.init(digits: Int128(integer), scale: 0) }

    /// Reads `-12.50`: a sign, digits, and at most eleven digits, six of them decimals; no exponent,
    /// no grouping. So a sum of products of two cannot overflow.
    package init?(_ text: String) {
        var digits: Int64 = 0
        var scale = 0
        var count = 0
        var pointSeen = false
        var negative = false
        var isFirst = true
        for byte in text.utf8 {
            defer { isFirst = false }
            switch byte {
            case UInt8(ascii: "-") where isFirst: negative = true
            case UInt8(ascii: "+") where isFirst: break
            case UInt8(ascii: ".") where !pointSeen: pointSeen = true
            case UInt8(ascii: "0")...UInt8(ascii: "9"):
                digits = digits * 10 + Int64(byte - UInt8(ascii: "0"))
                count += 1
                if pointSeen { scale += 1 }
                guard count <= 11, scale <= 6 else { return nil }
            default: return nil
            }
        }
        guard count > 0 else { return nil }
        self.init(digits: Int128(negative ? -digits : digits), scale: scale)
    }

    package static func + (left: Self, right: Self) -> Self {
        let scale = max(left.scale, right.scale)
        return Self(digits: left.digits(at: scale) + right.digits(at: scale), scale: scale)
    }

    package static func * (left: Self, right: Self) -> Self {
        Self(digits: left.digits * right.digits, scale: left.scale + right.scale)
    }

    package static prefix func - (value: Self) -> Self { Self(digits: -value.digits, scale: value.scale) }

    private func digits(at scale: Int) -> Int128 {
        var result = digits
        for _ in self.scale..<max(scale, self.scale) { result *= 10 }
        return result
    }

    /// `12.50`: at least two decimals, no further zeros at the end.
    package var text: String {
        var digits = digits(at: max(scale, 2))
        var scale = max(scale, 2)
        while scale > 2, digits % 10 == 0 {
            digits /= 10
            scale -= 1
        }
        var unit: Int128 = 1
        for _ in 0..<scale { unit *= 10 }
        let fraction = String((digits.magnitude % unit.magnitude))
        let padded = String(repeating: "0", count: scale - fraction.count) + fraction
        return "\(digits < 0 ? "-" : "")\(digits.magnitude / unit.magnitude).\(padded)"
    }
}

extension ExactDecimal: Comparable, Hashable {
    package static func == (left: Self, right: Self) -> Bool {
        let scale = max(left.scale, right.scale)
        return left.digits(at: scale) == right.digits(at: scale)
    }

    package static func < (left: Self, right: Self) -> Bool {
        let scale = max(left.scale, right.scale)
        return left.digits(at: scale) < right.digits(at: scale)
    }

    package func hash(into hasher: inout Hasher) { hasher.combine(text) }
}
