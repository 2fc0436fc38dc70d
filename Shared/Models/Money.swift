package import FoundationEssentials

/// An exact amount of a currency; `{"amount":"12.50","currency":"GBP"}` on the wire.
package struct Money: Hashable, Sendable {
    package var amount: Decimal
    /// Three upper-case letters of ISO 4217.
    package var currency: String

    package init(amount: Decimal, currency: String) {
        self.amount = amount
        self.currency = currency
    }

    /// The amount with at least the currency's decimal places: `12.50`.
    package var amountText: String { amount.text(minimumFractionDigits: Self.fractionDigits(of: currency)) }

    /// Decimal places of a currency (ISO 4217): most have two.
    package static func fractionDigits(of currency: String) -> Int {
        switch currency {
        case "BIF", "CLP", "DJF", "GNF", "ISK", "JPY", "KMF", "KRW", "PYG", "RWF", "UGX", "UYI", "VND", "VUV",
            "XAF", "XOF", "XPF":
            0
        case "BHD", "IQD", "JOD", "KWD", "LYD", "OMR", "TND": 3
        default: 2
        }
    }

    /// Reads `{"amount":"12.50","currency":"GBP"}`; the amount may be a number too.
    package init(json: JSON, at path: String = "") throws(DecodingProblem) {
        let fields = try JSONFields(json, at: path)
        guard let amount = fields["amount"]?.decimal else {
            throw fields.problem("amount", expected: "a decimal string")
        }
        let currency = try fields.string("currency")
        guard currency.utf8.count == 3, currency.utf8.allSatisfy({ (65...90).contains($0) }) else {
            throw fields.problem("currency", expected: "three upper-case letters of ISO 4217")
        }
        self.init(amount: amount, currency: currency)
    }

    package var json: JSON { ["amount": .string(amountText), "currency": .string(currency)] }
}

extension Decimal {
    /// Reads a plain decimal such as `-12.50`, of at most 18 significant digits.
    package init?(plain text: String) {
        var digits = text.utf8[...]
        let isNegative = digits.first == UInt8(ascii: "-")
        if isNegative { digits = digits.dropFirst() }
        var mantissa: Int64 = 0
        var fractionDigits: Int?
        var count = 0
        for byte in digits {
            if byte == UInt8(ascii: ".") {
                guard fractionDigits == nil, count > 0 else { return nil }
                fractionDigits = 0
                continue
            }
            guard byte &- 48 < 10, count < 40, mantissa < 100_000_000_000_000_000 else { return nil }
            mantissa = mantissa * 10 + Int64(byte - 48)
            count += 1
            fractionDigits = fractionDigits.map { $0 + 1 }
        }
        guard count > 0, fractionDigits != 0 else { return nil }
        self.init(
            sign: isNegative ? .minus : .plus, exponent: -(fractionDigits ?? 0),
            significand: Decimal(mantissa))
    }

    /// The plain decimal form with at least so many decimal places.
    package func text(minimumFractionDigits: Int) -> String {
        var text = description
        guard minimumFractionDigits > 0 else { return text }
        let fractionDigits: Int
        if let point = text.utf8.firstIndex(of: UInt8(ascii: ".")) {
            fractionDigits = text.utf8.distance(from: point, to: text.utf8.endIndex) - 1
        } else {
            text += "."
            fractionDigits = 0
        }
        return text + String(repeating: "0", count: max(0, minimumFractionDigits - fractionDigits))
    }
}

extension JSON {
    /// An exact amount, written as a number or as a decimal string, as shops send both.
    package var decimal: Decimal? {
        switch self {
        case .integer(let value): Decimal(value)
        case .double(let value): Decimal(plain: value.description)
        case .string(let text): Decimal(plain: text)
        default: nil
        }
    }
}
