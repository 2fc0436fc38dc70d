package import Models

/// A test of a property or trait.
///
/// Where a property has several values (`products[].sku`), one that passes is enough; `notEquals`, `notIn` and
/// `exists: false` ask it of all. A number in the rule also equals, and compares with, a decimal string such as
/// `"12.50"`, since money is often sent as text.
package enum Comparison: Hashable, Sendable {
    case equals(JSON)
    case notEquals(JSON)
    case isIn([JSON])
    case notIn([JSON])
    case contains(JSON)
    case exists(Bool)
    case greaterThan(Bound)
    case atLeast(Bound)
    case lessThan(Bound)
    case atMost(Bound)

    /// What a value is ordered against.
    package enum Bound: Hashable, Sendable {
        case number(Amount)
        case instant(Instant)
    }

    package static let keys = [
        "equals", "notEquals", "in", "notIn", "contains", "exists", "greaterThan", "atLeast", "lessThan",
        "atMost",
    ]

    /// Reads the one comparison of a filter object such as `{"property": "price", "atLeast": 10}`.
    package init(in field: RuleField) throws(RuleProblem) {
        let (key, operand) = try field.one(of: Self.keys)
        switch key {
        case "equals": self = .equals(try Self.scalar(operand))
        case "notEquals": self = .notEquals(try Self.scalar(operand))
        case "in": self = .isIn(try Self.scalars(operand))
        case "notIn": self = .notIn(try Self.scalars(operand))
        case "contains": self = .contains(try Self.scalar(operand))
        case "exists":
            guard let flag = operand.json.bool else { throw operand.problem("true or false") }
            self = .exists(flag)
        case "greaterThan": self = .greaterThan(try Self.bound(operand))
        case "atLeast": self = .atLeast(try Self.bound(operand))
        case "lessThan": self = .lessThan(try Self.bound(operand))
        default: self = .atMost(try Self.bound(operand))
        }
    }

    /// The member that says this comparison.
    package var member: (key: String, value: JSON) {
        switch self {
        case .equals(let value): ("equals", value)
        case .notEquals(let value): ("notEquals", value)
        case .isIn(let values): ("in", .array(values))
        case .notIn(let values): ("notIn", .array(values))
        case .contains(let value): ("contains", value)
        case .exists(let flag): ("exists", .bool(flag))
        case .greaterThan(let bound): ("greaterThan", bound.json)
        case .atLeast(let bound): ("atLeast", bound.json)
        case .lessThan(let bound): ("lessThan", bound.json)
        case .atMost(let bound): ("atMost", bound.json)
        }
    }

    /// Words for an explanation: `at least 10`.
    package var text: String {
        let (key, value) = member
        let words =
            key.reduce(into: "") { $0 += $1.isUppercase ? " \($1.lowercased())" : String($1) }
        return "\(words) \(value.compact)"
    }

    /// Whether the values found at a place pass.
    package func holds(for values: [JSON]) -> Bool {
        switch self {
        case .equals(let wanted): values.contains { Self.same($0, wanted) }
        case .notEquals(let wanted): !values.contains { Self.same($0, wanted) }
        case .isIn(let wanted): values.contains { value in wanted.contains { Self.same(value, $0) } }
        case .notIn(let wanted): !values.contains { value in wanted.contains { Self.same(value, $0) } }
        case .contains(let wanted): values.contains { Self.contains($0, wanted) }
        case .exists(let flag): values.isEmpty != flag
        case .greaterThan(let bound): values.contains { bound.order(of: $0).map { $0 > 0 } ?? false }
        case .atLeast(let bound): values.contains { bound.order(of: $0).map { $0 >= 0 } ?? false }
        case .lessThan(let bound): values.contains { bound.order(of: $0).map { $0 < 0 } ?? false }
        case .atMost(let bound): values.contains { bound.order(of: $0).map { $0 <= 0 } ?? false }
        }
    }

    private static func same(_ value: JSON, _ wanted: JSON) -> Bool {
        if value == wanted { return true }
        guard wanted.number != nil, let left = Amount(value), let right = Amount(wanted) else { return false }
        return left == right
    }

    private static func contains(_ value: JSON, _ wanted: JSON) -> Bool {
        if let array = value.array {
            return array.prefix(RuleLimits.listElements).contains { same($0, wanted) }
        }
        guard let text = value.string, let part = wanted.string else { return false }
        return text.contains(part)
    }

    private static func scalar(_ field: RuleField) throws(RuleProblem) -> JSON {
        guard field.json.string != nil || field.json.number != nil || field.json.bool != nil else {
            throw field.problem("text, a number, true or false")
        }
        return field.json
    }

    private static func scalars(_ field: RuleField) throws(RuleProblem) -> [JSON] {
        var values: [JSON] = []
        for element in try field.elements(1...RuleLimits.listedValues, of: "values") {
            values.append(try scalar(element))
        }
        return values
    }

    private static func bound(_ field: RuleField) throws(RuleProblem) -> Bound {
        if let instant = field.json.string.flatMap({ Instant(rfc3339: $0) }) { return .instant(instant) }
        guard let amount = Amount(field.json) else {
            throw field.problem("a number, a decimal string, or an RFC 3339 time")
        }
        return .number(amount)
    }
}

extension Comparison.Bound {
    var json: JSON {
        switch self {
        case .number(let amount): amount.json
        case .instant(let instant): .string(instant.rfc3339)
        }
    }

    /// Negative, zero or positive as the value is below, at or above the bound; nil if they cannot be compared.
    func order(of value: JSON) -> Int? {
        switch self {
        case .number(let bound):
            guard let amount = Amount(value) else { return nil }
            return amount < bound ? -1 : amount > bound ? 1 : 0
        case .instant(let bound):
            guard let instant = value.string.flatMap({ Instant(rfc3339: $0) }) else { return nil }
            return instant < bound ? -1 : instant > bound ? 1 : 0
        }
    }
}

extension Amount {
    /// A whole number where it is one, else a decimal string, which keeps every digit.
    var json: JSON {
        millionths % 1_000_000 == 0 ? .integer(millionths / 1_000_000) : .string(text)
    }
}
