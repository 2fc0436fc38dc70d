import Models

/// A number that is compared and divided without rounding.
enum ExactNumber: Hashable, Sendable {
    case integer(Int64)
    /// Finite.
    case real(Double)

    init?(_ json: JSON) {
        switch json {
        case .integer(let value): self = .integer(value)
        case .double(let value) where value.isFinite: self = .real(value)
        default: return nil
        }
    }

    static func < (left: ExactNumber, right: ExactNumber) -> Bool {
        switch (left, right) {
        case (.integer(let left), .integer(let right)): left < right
        case (.real(let left), .real(let right)): left < right
        case (.integer(let left), .real(let right)): compare(left, right) < 0
        case (.real(let left), .integer(let right)): compare(right, left) > 0
        }
    }

    /// Below 0 when the integer is less than the Double, above 0 when it is greater.
    private static func compare(_ integer: Int64, _ real: Double) -> Int {
        if real >= 0x1p63 { return -1 }
        if real < -0x1p63 { return 1 }
        let whole = Int64(real.rounded(.down))
        if integer != whole { return integer < whole ? -1 : 1 }
        return Double(whole) < real ? -1 : 0
    }

    /// Whether the quotient is whole, with both taken as the shortest decimals that stand for them: `19.99` is a
    /// multiple of `0.01`, though no Double is exactly either.
    func isMultiple(of divisor: ExactNumber) -> Bool {
        let (value, divisor) = (decimal, divisor.decimal)
        guard divisor.mantissa > 0, value.mantissa > 0 else { return divisor.mantissa > 0 }
        let shift = value.exponent - divisor.exponent
        if shift >= 0 {
            // mantissa × 10^shift ≡ 0 modulo the divisor's mantissa.
            let remainder = Self.multiply(
                value.mantissa % divisor.mantissa, Self.powerOfTen(shift, modulo: divisor.mantissa),
                modulo: divisor.mantissa)
            return remainder == 0
        }
        var scaled = divisor.mantissa
        for _ in 0..<(-shift) {
            let (product, overflow) = scaled.multipliedReportingOverflow(by: 10)
            // Then the divisor is greater than the value, which is not 0.
            if overflow || product > value.mantissa { return false }
            scaled = product
        }
        return value.mantissa % scaled == 0
    }

    private static func multiply(_ left: UInt64, _ right: UInt64, modulo: UInt64) -> UInt64 {
        let product = left.multipliedFullWidth(by: right)
        return modulo.dividingFullWidth((product.high % modulo, product.low)).remainder
    }

    private static func powerOfTen(_ exponent: Int, modulo: UInt64) -> UInt64 {
        var result = 1 % modulo
        var base = 10 % modulo
        var exponent = exponent
        while exponent > 0 {
            if exponent & 1 == 1 { result = multiply(result, base, modulo: modulo) }
            base = multiply(base, base, modulo: modulo)
            exponent >>= 1
        }
        return result
    }

    /// The magnitude as `mantissa × 10^exponent`.
    private var decimal: (mantissa: UInt64, exponent: Int) {
        switch self {
        case .integer(let value): return (value.magnitude, 0)
        case .real(let value):
            // The description has at most 17 significant digits: "12.5", "1e-07", "1.2e+308".
            var mantissa: UInt64 = 0
            var exponent = 0
            var isFraction = false
            let parts = value.magnitude.description.split(separator: "e")
            for byte in (parts.first ?? "").utf8 {
                if byte == UInt8(ascii: ".") {
                    isFraction = true
                } else {
                    mantissa = mantissa &* 10 &+ UInt64(byte &- UInt8(ascii: "0"))
                    if isFraction { exponent -= 1 }
                }
            }
            if parts.count == 2 { exponent += Int(parts[1]) ?? 0 }
            return (mantissa, exponent)
        }
    }
}

extension ExactNumber: CustomStringConvertible {
    var description: String {
        switch self {
        case .integer(let value): "\(value)"
        case .real(let value): "\(value)"
        }
    }
}
