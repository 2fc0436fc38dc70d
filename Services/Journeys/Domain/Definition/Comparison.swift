package import Models

/// How the value of an event property or of a trait is compared, written as one more key beside it:
/// `{property: price, atLeast: 10}`.
package enum Comparison: Hashable, Sendable {
    case equals(JSON)
    case notEquals(JSON)
    case isIn([JSON])
    case notIn([JSON])
    case contains(JSON)
    case greaterThan(Double)
    case atLeast(Double)
    case lessThan(Double)
    case atMost(Double)
    case exists(Bool)

    /// Whether the values found at a place pass: one that does is enough, but `notEquals`, `notIn` and
    /// `exists: false` ask it of all.
    package func passes(_ values: [JSON]) -> Bool {
        switch self {
        case .equals(let wanted): values.contains { Self.same($0, wanted) }
        case .notEquals(let wanted): !values.contains { Self.same($0, wanted) }
        case .isIn(let wanted): values.contains { value in wanted.contains { Self.same(value, $0) } }
        case .notIn(let wanted): !values.contains { value in wanted.contains { Self.same(value, $0) } }
        case .contains(let part): values.contains { Self.contains($0, part) }
        case .greaterThan(let bound): values.contains { Self.number($0).map { $0 > bound } ?? false }
        case .atLeast(let bound): values.contains { Self.number($0).map { $0 >= bound } ?? false }
        case .lessThan(let bound): values.contains { Self.number($0).map { $0 < bound } ?? false }
        case .atMost(let bound): values.contains { Self.number($0).map { $0 <= bound } ?? false }
        case .exists(let wanted): values.isEmpty != wanted
        }
    }

    package var json: JSON {
        switch self {
        case .equals(let value): .object(["equals": value])
        case .notEquals(let value): .object(["notEquals": value])
        case .isIn(let values): .object(["in": .array(values)])
        case .notIn(let values): .object(["notIn": .array(values)])
        case .contains(let part): .object(["contains": part])
        case .greaterThan(let bound): .object(["greaterThan": .double(bound)])
        case .atLeast(let bound): .object(["atLeast": .double(bound)])
        case .lessThan(let bound): .object(["lessThan": .double(bound)])
        case .atMost(let bound): .object(["atMost": .double(bound)])
        case .exists(let wanted): .object(["exists": .bool(wanted)])
        }
    }

    /// Shops send money as a number or as a decimal string; both count as the number.
    private static func number(_ value: JSON) -> Double? {
        value.number ?? value.string.flatMap { Double($0) }
    }

    private static func same(_ value: JSON, _ wanted: JSON) -> Bool {
        if let wanted = wanted.number { return number(value) == wanted }
        return value == wanted
    }

    private static func contains(_ value: JSON, _ part: JSON) -> Bool {
        if let elements = value.array { return elements.contains { same($0, part) } }
        guard let text = value.string, let part = part.string else { return false }
        return text.contains(part)
    }
}

extension Comparison {
    package static let keys = [
        "equals", "notEquals", "in", "notIn", "contains", "exists", "greaterThan", "atLeast", "lessThan",
        "atMost",
    ]

    /// Reads the one comparison among the members of `reader`.
    package init?(_ reader: inout ObjectReader) {
        let written = Self.keys.compactMap { key in reader.optional(key).map { (key, $0) } }
        guard let (key, node) = written.first, written.count == 1 else {
            reader.log.report(
                reader.node, reader.path,
                expected: "one comparison: \(Self.keys.map { "`\($0)`" }.joined(separator: ", "))",
                found: written.isEmpty ? "none" : written.map { "`\($0.0)`" }.joined(separator: " and "))
            return nil
        }
        guard let comparison = Self.read(key, node) else {
            reader.log.report(node, reader.path(to: key), expected: Self.operand(of: key))
            return nil
        }
        self = comparison
    }

    private static func read(_ key: String, _ node: DefinitionNode) -> Comparison? {
        let value = node.json
        switch key {
        case "equals": return scalar(value).map { .equals($0) }
        case "notEquals": return scalar(value).map { .notEquals($0) }
        case "in": return scalars(value).map { .isIn($0) }
        case "notIn": return scalars(value).map { .notIn($0) }
        case "contains": return scalar(value).map { .contains($0) }
        case "greaterThan": return value.number.map { .greaterThan($0) }
        case "atLeast": return value.number.map { .atLeast($0) }
        case "lessThan": return value.number.map { .lessThan($0) }
        case "atMost": return value.number.map { .atMost($0) }
        default: return value.bool.map { .exists($0) }
        }
    }

    private static func scalar(_ value: JSON) -> JSON? {
        switch value {
        case .array, .object, .null: nil
        default: value
        }
    }

    private static func scalars(_ value: JSON) -> [JSON]? {
        guard let values = value.array, (1...1000).contains(values.count) else { return nil }
        let scalars = values.compactMap { scalar($0) }
        return scalars.count == values.count ? scalars : nil
    }

    private static func operand(of key: String) -> String {
        switch key {
        case "equals", "notEquals", "contains": "a text, a number or true/false"
        case "in", "notIn": "a list of texts, numbers or true/false"
        case "exists": "true or false"
        default: "a number"
        }
    }
}
