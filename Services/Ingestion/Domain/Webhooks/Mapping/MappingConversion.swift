import FoundationEssentials
import Models

/// What is made of a value before it goes into a call.
package indirect enum MappingConversion: Hashable, Sendable {
    /// An exact decimal string with at least two places, from a number or a decimal string.
    case money
    /// The same from a whole number of the currency's smallest unit (Stripe, "Currencies").
    case minorUnits(currency: MappingValue)
    case integer
    case number
    case string
    case lowercase
    case uppercase
    case bool
    /// RFC 3339 in UTC, from a time as vendors write it.
    case time
    case timeSeconds
    case timeMillis

    /// The names they are written by.
    static let names = [
        "money", "minorUnits", "integer", "number", "string", "lowercase", "uppercase", "bool", "time",
        "timeSeconds",
        "timeMillis",
    ]

    /// What the value must have been.
    var expectation: String {
        switch self {
        case .money: "an amount such as 12.50"
        case .minorUnits: "a whole number of the currency's smallest unit"
        case .integer: "a whole number"
        case .number: "a number"
        case .string, .lowercase, .uppercase: "a text, a number or true/false"
        case .bool: "true or false"
        case .time: "a time with its offset from UTC"
        case .timeSeconds: "seconds since 1970"
        case .timeMillis: "milliseconds since 1970"
        }
    }

    /// The converted value; nil where it doesn't convert.
    func apply(_ value: JSON, in scope: MappingValue.Scope, member: String) throws(MappingFailure) -> JSON? {
        switch self {
        case .money:
            return value.amount.map { .string($0.text(minimumFractionDigits: 2)) }
        case .minorUnits(let currency):
            guard let units = value.wholeNumber else { return nil }
            guard let code = try currency.json(in: scope, member: member)?.string else {
                throw MappingFailure(member: member, expected: "an amount of a known currency")
            }
            let digits = Money.fractionDigits(of: code.uppercased())
            let amount = Decimal(
                sign: units < 0 ? .minus : .plus, exponent: -digits, significand: Decimal(units.magnitude))
            return .string(amount.text(minimumFractionDigits: digits))
        case .integer: return value.wholeNumber.map { .integer($0) }
        case .number:
            let number = value.number ?? value.string.flatMap { Double($0.trimmed) }
            guard let number, number.isFinite else { return nil }
            return value.wholeNumber.map { .integer($0) } ?? .double(number)
        case .string: return value.scalarText.map { .string($0) }
        case .lowercase: return value.scalarText.map { .string($0.lowercased()) }
        case .uppercase: return value.scalarText.map { .string($0.uppercased()) }
        case .bool: return value.bool.map { .bool($0) } ?? value.truth.map { .bool($0) }
        case .time: return value.string.flatMap(VendorTime.instant).map { .string($0.rfc3339) }
        case .timeSeconds: return value.instant(perUnit: 1000).map { .string($0.rfc3339) }
        case .timeMillis: return value.instant(perUnit: 1).map { .string($0.rfc3339) }
        }
    }
}

extension JSON {
    /// An amount, exactly as it was written; XML and forms leave spaces around it.
    fileprivate var amount: Decimal? {
        if case .string(let text) = self { return Decimal(plain: text.trimmed) }
        return decimal
    }

    /// A whole number, also where it is written as text.
    var wholeNumber: Int64? { integer ?? string.flatMap { Int64($0.trimmed) } }

    /// The text of a scalar.
    fileprivate var scalarText: String? {
        switch self {
        case .string(let text): text
        case .integer(let value): String(value)
        case .double(let value): integer.map { String($0) } ?? value.description
        case .bool(let value): String(value)
        case .null, .array, .object: nil
        }
    }

    fileprivate var truth: Bool? {
        switch string?.trimmed.lowercased() {
        case "true", "1": true
        case "false", "0": false
        default: nil
        }
    }

    /// A time by its count since 1970, as long as it has a text form.
    func instant(perUnit milliseconds: Int64) -> Instant? {
        if let whole = wholeNumber {
            let (product, overflow) = whole.multipliedReportingOverflow(by: milliseconds)
            return overflow ? nil : Self.shown(product)
        }
        guard let number, number.magnitude < 1e15 else { return nil }
        return Self.shown(Int64(number * Double(milliseconds)))
    }

    private static func shown(_ milliseconds: Int64) -> Instant? {
        let instant = Instant(milliseconds: milliseconds)
        return instant >= .distantPast && instant <= .distantFuture ? instant : nil
    }
}
