package import Models

/// An exact decimal number in millionths, so that sums do not depend on the order of their terms.
///
/// Further decimal places are rounded, halves away from zero; values beyond ±9,000,000,000,000 stop there.
package struct Amount: Hashable, Comparable, Sendable {
    package var millionths: Int64

    /// The largest value that is told apart.
    package static let bound: Int64 = 9_000_000_000_000_000_000

    package init(millionths: Int64) {
        self.millionths = min(max(millionths, -Self.bound), Self.bound)
    }

    /// The value of a number or of a decimal string such as `"12.50"`; nil for anything else.
    package init?(_ json: JSON) {
        if let integer = json.integer {
            let (product, overflow) = integer.multipliedReportingOverflow(by: 1_000_000)
            self.init(millionths: overflow ? (integer < 0 ? -Self.bound : Self.bound) : product)
        } else if let number = json.number {
            let scaled = (number * 1_000_000).rounded()
            let bound = Double(Self.bound)
            if scaled >= bound {
                self.init(millionths: Self.bound)
            } else if scaled <= -bound {
                self.init(millionths: -Self.bound)
            } else {
                self.init(millionths: Int64(scaled))
            }
        } else if let text = json.string {
            self.init(decimal: text)
        } else {
            return nil
        }
    }

    /// Reads `-12.345`: digits, at most one point, no exponent, at most 40 characters.
    package init?(decimal text: String) {
        var digits = Array(text.utf8)
        guard digits.count <= 40 else { return nil }
        let isNegative = digits.first == UInt8(ascii: "-")
        if isNegative { digits.removeFirst() }
        let parts = digits.split(separator: UInt8(ascii: "."), omittingEmptySubsequences: false)
        let isDigits = { (part: ArraySlice<UInt8>) in
            !part.isEmpty && part.allSatisfy { $0 >= UInt8(ascii: "0") && $0 <= UInt8(ascii: "9") }
        }
        guard (1...2).contains(parts.count), parts.allSatisfy(isDigits) else { return nil }
        let fraction = parts.count == 2 ? Array(parts[1]) : []
        var value: Int64 = 0
        for place in 0..<(parts[0].count + 6) {
            let digit =
                place < parts[0].count
                ? parts[0][parts[0].startIndex + place]
                : fraction.indices.contains(place - parts[0].count)
                    ? fraction[place - parts[0].count] : UInt8(ascii: "0")
            let (times, overflow) = value.multipliedReportingOverflow(by: 10)
            value = overflow ? Self.bound : min(times, Self.bound) + Int64(digit - UInt8(ascii: "0"))
        }
        if fraction.count > 6, fraction[6] >= UInt8(ascii: "5") { value += 1 }
        self.init(millionths: isNegative ? -value : value)
    }

    /// From one to another; those at opposite ends are further apart than is told apart, and theirs stops there too.
    static func distance(from low: Amount, to high: Amount) -> Amount {
        Amount(millionths: Int64(clamping: Int128(high.millionths) - Int128(low.millionths)))
    }

    package static func < (left: Amount, right: Amount) -> Bool { left.millionths < right.millionths }

    /// The shortest decimal form: `12.5`.
    package var text: String {
        let whole = millionths.magnitude / 1_000_000
        var fraction = String(millionths.magnitude % 1_000_000)
        fraction = String(repeating: "0", count: 6 - fraction.count) + fraction
        while fraction.hasSuffix("0") { fraction.removeLast() }
        return (millionths < 0 ? "-" : "") + "\(whole)" + (fraction.isEmpty ? "" : ".\(fraction)")
    }
}
