/// A number in a template. Sums and products of decimal fractions are exact: 10.1 plus 2.2 is 12.3.
enum LiquidNumber: Hashable, Sendable {
    case integer(Int64)
    case double(Double)

    /// A number, or the number that a text stands for; anything else counts as zero.
    init(_ value: LiquidValue) {
        switch value {
        case .integer(let number): self = .integer(number)
        case .double(let number): self = .double(number)
        case .string(let text), .markup(let text):
            let digits = text.split(whereSeparator: \.isWhitespace).first.map(String.init) ?? ""
            if let number = Int64(digits) {
                self = .integer(number)
            } else if let first = digits.utf8.first, first.isLiquidDigit || first == UInt8(ascii: "-"),
                let number = Double(digits), number.isFinite
            {
                self = .double(number)
            } else {
                self = .integer(0)
            }
        default: self = .integer(0)
        }
    }

    var value: LiquidValue {
        switch self {
        case .integer(let number): .integer(number)
        case .double(let number): .double(number)
        }
    }

    var double: Double {
        switch self {
        case .integer(let number): Double(number)
        case .double(let number): number
        }
    }

    var isZero: Bool { double == 0 }

    static func + (left: LiquidNumber, right: LiquidNumber) -> LiquidNumber {
        if case .integer(let a) = left, case .integer(let b) = right {
            let (sum, overflow) = a.addingReportingOverflow(b)
            if !overflow { return .integer(sum) }
        }
        guard let a = Digits(left), let b = Digits(right), abs(a.exponent - b.exponent) < 20 else {
            return .double(left.double + right.double)
        }
        let exponent = min(a.exponent, b.exponent)
        return .double(
            Digits(mantissa: a.scaled(to: exponent) + b.scaled(to: exponent), exponent: exponent).double)
    }

    static prefix func - (number: LiquidNumber) -> LiquidNumber {
        switch number {
        case .integer(let value): value == .min ? .double(-Double(value)) : .integer(-value)
        case .double(let value): .double(-value)
        }
    }

    static func * (left: LiquidNumber, right: LiquidNumber) -> LiquidNumber {
        if case .integer(let a) = left, case .integer(let b) = right {
            let (product, overflow) = a.multipliedReportingOverflow(by: b)
            if !overflow { return .integer(product) }
        }
        guard let a = Digits(left), let b = Digits(right) else { return .double(left.double * right.double) }
        return .double(Digits(mantissa: a.mantissa * b.mantissa, exponent: a.exponent + b.exponent).double)
    }

    /// Between integers the quotient is rounded down.
    static func / (left: LiquidNumber, right: LiquidNumber) throws(LiquidProblem) -> LiquidNumber {
        guard !right.isZero else {
            throw LiquidProblem(message: "division by zero", expected: "another divisor")
        }
        if case .integer(let a) = left, case .integer(let b) = right, a != .min || b != -1 {
            let quotient = a / b
            return .integer(a % b != 0 && (a < 0) != (b < 0) ? quotient - 1 : quotient)
        }
        return .double(left.double / right.double)
    }

    static func % (left: LiquidNumber, right: LiquidNumber) throws(LiquidProblem) -> LiquidNumber {
        guard !right.isZero else {
            throw LiquidProblem(message: "division by zero", expected: "another divisor")
        }
        if case .integer(let a) = left, case .integer(let b) = right {
            if b == -1 { return .integer(0) }
            let rest = a % b
            return .integer(rest != 0 && (rest < 0) != (b < 0) ? rest + b : rest)
        }
        let (a, b) = (left.double, right.double)
        return .double(a - b * (a / b).rounded(.down))
    }

    static func < (left: LiquidNumber, right: LiquidNumber) -> Bool {
        if case .integer(let a) = left, case .integer(let b) = right { return a < b }
        return left.double < right.double
    }

    /// Rounds to an integer, or to a double where it is beyond 64 bits.
    func rounded(_ rule: FloatingPointRoundingRule) -> LiquidNumber {
        guard case .double(let number) = self else { return self }
        return Int64(exactly: number.rounded(rule)).map(LiquidNumber.integer) ?? self
    }

    /// The shortest decimal digits that stand for a number: mantissa · 10^exponent.
    private struct Digits {
        var mantissa: Int128
        var exponent: Int

        init(mantissa: Int128, exponent: Int) {
            (self.mantissa, self.exponent) = (mantissa, exponent)
        }

        init?(_ number: LiquidNumber) {
            switch number {
            case .integer(let value): self.init(mantissa: Int128(value), exponent: 0)
            case .double(let value):
                let parts = value.description.split(separator: "e")
                guard let digits = parts.first, let power = parts.count > 1 ? Int(parts[1]) : 0 else {
                    return nil
                }
                let halves = digits.split(separator: ".", omittingEmptySubsequences: false)
                let fraction = halves.count > 1 ? halves[1] : ""
                guard let mantissa = Int128(String(halves[0] + fraction)) else { return nil }
                self.init(mantissa: mantissa, exponent: power - fraction.utf8.count)
            }
        }

        /// Mantissas have at most 20 digits and move by fewer than 20, which an Int128 nearly always holds.
        func scaled(to exponent: Int) -> Int128 {
            var result = mantissa
            for _ in 0..<(self.exponent - exponent) {
                let (product, overflow) = result.multipliedReportingOverflow(by: 10)
                if overflow { return result }
                result = product
            }
            return result
        }

        var double: Double { Double("\(mantissa)e\(exponent)") ?? 0 }
    }
}
