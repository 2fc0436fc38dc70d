/// A number as written: `mantissa × 10^exponent`, exact when `digits` is at most 19.
struct JSONNumberToken {
    var range: Range<Int>
    var isNegative: Bool
    var isInteger: Bool
    var mantissa: UInt64
    /// Digits from the first that is not zero.
    var digits: Int
    var exponent: Int
}

extension JSONScanner {
    /// Reads a number at the position, checking its grammar alone.
    mutating func number() throws(JSONError) -> JSONNumberToken {
        var token = JSONNumberToken(
            range: position..<position, isNegative: false, isInteger: true, mantissa: 0, digits: 0,
            exponent: 0)
        let start = position
        token.isNegative = take(UInt8(ascii: "-"))
        if take(UInt8(ascii: "0")) {
            guard current &- 48 >= 10 else { throw unexpected("no digit after a leading zero") }
        } else {
            guard readDigits(into: &token) > 0 else { throw unexpected("a digit") }
        }
        if take(UInt8(ascii: ".")) {
            token.isInteger = false
            let count = readDigits(into: &token)
            guard count > 0 else { throw unexpected("a digit") }
            token.exponent -= count
        }
        if current | 0x20 == UInt8(ascii: "e") {
            position += 1
            token.isInteger = false
            token.exponent += try exponent()
        }
        token.range = start..<position
        return token
    }

    private mutating func readDigits(into token: inout JSONNumberToken) -> Int {
        let start = position
        while position < bytes.count {
            let digit = bytes[position] &- 48
            guard digit < 10 else { break }
            if token.digits > 0 || digit > 0 {
                token.digits += 1
                if token.digits <= 19 { token.mantissa = token.mantissa * 10 + UInt64(digit) }
            }
            position += 1
        }
        return position - start
    }

    private mutating func exponent() throws(JSONError) -> Int {
        let isNegative = take(UInt8(ascii: "-"))
        if !isNegative { _ = take(UInt8(ascii: "+")) }
        let start = position
        var value = 0
        while position < bytes.count, bytes[position] &- 48 < 10 {
            // Far beyond the range of a Double already; more digits change nothing.
            if value < 1_000_000 { value = value * 10 + Int(bytes[position] - 48) }
            position += 1
        }
        guard position > start else { throw unexpected("a digit of the exponent") }
        return isNegative ? -value : value
    }

    /// The value of a number: an integer when it is written as one and fits, else the nearest Double.
    func value(of token: JSONNumberToken) throws(JSONError) -> JSON {
        if token.isInteger, token.digits <= 19 {
            if token.mantissa <= UInt64(Int64.max) {
                let magnitude = Int64(token.mantissa)
                return .integer(token.isNegative ? -magnitude : magnitude)
            }
            if token.isNegative, token.mantissa == UInt64(Int64.max) + 1 { return .integer(.min) }
        }
        let double = try double(of: token)
        return .double(double)
    }

    private func double(of token: JSONNumberToken) throws(JSONError) -> Double {
        // Clinger's fast path: both operands are exact, so one rounding gives the nearest Double.
        if token.digits <= 19, token.mantissa <= 1 << 53, (-22...22).contains(token.exponent) {
            let magnitude = Double(token.mantissa)
            let scaled =
                token.exponent < 0
                ? magnitude / Self.powersOfTen[-token.exponent] : magnitude * Self.powersOfTen[token.exponent]
            return token.isNegative ? -scaled : scaled
        }
        let text = String(decoding: bytes[token.range], as: UTF8.self)
        guard let value = Double(text), value.isFinite else {
            throw JSONError(.numberRange, at: token.range.lowerBound, "the number is out of range")
        }
        return value
    }

    private static let powersOfTen: [Double] = [
        1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16, 1e17,
        1e18, 1e19, 1e20, 1e21, 1e22,
    ]
}
