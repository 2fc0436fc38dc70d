package import Models

/// A test of a property or trait.
///
/// Where a property has several values (`products[].sku`), one that passes is enough; `notEquals`, `notIn` and
/// `exists: false` ask it of all. A number in the rule also equals, and compares with, a decimal string such as
/// `"12.50"`, since money is often sent as text. Text is compared exactly as it is, character by character in the sense of
/// Unicode, where an é is one however it is encoded; with `"ignoreCase": true` both sides are put into lower case first, by
/// Unicode's rules for all languages.
package enum Comparison: Hashable, Sendable {
    case equals(JSON)
    case notEquals(JSON)
    case isIn([JSON])
    case notIn([JSON])
    case contains(JSON)
    case startsWith(String)
    case endsWith(String)
    case exists(Bool)
    case greaterThan(Bound)
    case atLeast(Bound)
    case lessThan(Bound)
    case atMost(Bound)
    case relative(RelativeTime)
    /// One of those that compare text, without regard to case: as it is written, and with its text in lower case.
    indirect case ignoringCase(Comparison, folded: Comparison)

    /// What a value is ordered against.
    package enum Bound: Hashable, Sendable {
        case number(Amount)
        case instant(Instant)
    }

    package static let keys =
        [
            "equals", "notEquals", "in", "notIn", "contains", "startsWith", "endsWith", "exists",
            "greaterThan",
            "atLeast", "lessThan", "atMost",
        ] + RelativeTime.keys
    /// The members that say a comparison.
    package static let members = keys + ["ignoreCase"]

    /// Reads the one comparison of a filter object such as `{"property": "price", "atLeast": 10}`.
    package init(in field: RuleField) throws(RuleProblem) {
        let written = try Self.read(field)
        guard let flag = field.optional("ignoreCase") else {
            self = written
            return
        }
        guard let isIgnored = flag.json.bool else { throw flag.problem("true or false") }
        guard let folded = written.folded else { throw flag.problem("only there where text is compared") }
        self = isIgnored ? .ignoringCase(written, folded: folded) : written
    }

    private static func read(_ field: RuleField) throws(RuleProblem) -> Comparison {
        let (key, operand) = try field.one(of: keys)
        switch key {
        case "equals": return .equals(try scalar(operand))
        case "notEquals": return .notEquals(try scalar(operand))
        case "in": return .isIn(try scalars(operand))
        case "notIn": return .notIn(try scalars(operand))
        case "contains": return .contains(try scalar(operand))
        case "startsWith": return .startsWith(try operand.text("text"))
        case "endsWith": return .endsWith(try operand.text("text"))
        case "exists":
            guard let flag = operand.json.bool else { throw operand.problem("true or false") }
            return .exists(flag)
        case "greaterThan": return .greaterThan(try bound(operand))
        case "atLeast": return .atLeast(try bound(operand))
        case "lessThan": return .lessThan(try bound(operand))
        case "atMost": return .atMost(try bound(operand))
        default: return .relative(RelativeTime(key, try operand.window()))
        }
    }

    /// The same with its text in lower case; nil if it does not compare text.
    private var folded: Comparison? {
        switch self {
        case .equals(let value): .equals(value.lowercased)
        case .notEquals(let value): .notEquals(value.lowercased)
        case .isIn(let values): .isIn(values.map(\.lowercased))
        case .notIn(let values): .notIn(values.map(\.lowercased))
        case .contains(let value): .contains(value.lowercased)
        case .startsWith(let part): .startsWith(part.lowercased())
        case .endsWith(let part): .endsWith(part.lowercased())
        default: nil
        }
    }

    /// The members that say this comparison.
    package var members: [String: JSON] {
        let (key, value) = member
        guard case .ignoringCase = self else { return [key: value] }
        return [key: value, "ignoreCase": true]
    }

    private var member: (key: String, value: JSON) {
        switch self {
        case .startsWith(let part): ("startsWith", .string(part))
        case .endsWith(let part): ("endsWith", .string(part))
        case .relative(let time): time.member
        case .ignoringCase(let written, _): written.member
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

    /// In words, behind what is compared: `>= 10`, `starts with "a" ignoring case`.
    package var text: String {
        switch self {
        case .equals(let value): "= \(value.compact)"
        case .notEquals(let value): "!= \(value.compact)"
        case .isIn(let values): "in (\(values.map(\.compact).joined(separator: ", ")))"
        case .notIn(let values): "not in (\(values.map(\.compact).joined(separator: ", ")))"
        case .contains(let value): "contains \(value.compact)"
        case .startsWith(let part): "starts with \(JSON.string(part).compact)"
        case .endsWith(let part): "ends with \(JSON.string(part).compact)"
        case .exists(let flag): flag ? "exists" : "does not exist"
        case .greaterThan(let bound): "> \(bound.text)"
        case .atLeast(let bound): ">= \(bound.text)"
        case .lessThan(let bound): "< \(bound.text)"
        case .atMost(let bound): "<= \(bound.text)"
        case .relative(let time): time.text
        case .ignoringCase(let written, _): "\(written.text) ignoring case"
        }
    }

    /// Whether its truth changes with time.
    var isTimed: Bool {
        if case .relative = self { true } else { false }
    }

    /// When the values found at a place pass.
    package func spans(for values: [JSON]) -> Spans {
        guard case .relative(let time) = self else { return holds(for: values) ? .always : .never }
        return time.spans(of: values)
    }

    /// Whether the values found at a place pass, by a comparison that does not change with time.
    package func holds(for values: [JSON]) -> Bool {
        switch self {
        case .equals(let wanted): values.contains { Self.same($0, wanted) }
        case .notEquals(let wanted): !values.contains { Self.same($0, wanted) }
        case .isIn(let wanted): values.contains { value in wanted.contains { Self.same(value, $0) } }
        case .notIn(let wanted): !values.contains { value in wanted.contains { Self.same(value, $0) } }
        case .contains(let wanted): values.contains { Self.contains($0, wanted) }
        case .startsWith(let part): values.contains { $0.string?.hasPrefix(part) ?? false }
        case .endsWith(let part): values.contains { $0.string?.hasSuffix(part) ?? false }
        case .exists(let flag): values.isEmpty != flag
        case .greaterThan(let bound): values.contains { bound.order(of: $0).map { $0 > 0 } ?? false }
        case .atLeast(let bound): values.contains { bound.order(of: $0).map { $0 >= 0 } ?? false }
        case .lessThan(let bound): values.contains { bound.order(of: $0).map { $0 < 0 } ?? false }
        case .atMost(let bound): values.contains { bound.order(of: $0).map { $0 <= 0 } ?? false }
        case .relative(let time): !time.spans(of: values).isNever
        case .ignoringCase(_, let folded): folded.holds(for: values.map(\.lowercased))
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

extension JSON {
    /// Text, and text in a list, in lower case; anything else as it is.
    fileprivate var lowercased: JSON {
        switch self {
        case .string(let text): .string(text.lowercased())
        case .array(let elements): .array(elements.map(\.lowercased))
        default: self
        }
    }
}

extension Comparison.Bound {
    var text: String {
        switch self {
        case .number(let amount): amount.text
        case .instant(let instant): instant.rfc3339
        }
    }

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
