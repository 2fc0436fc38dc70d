package import Models

/// Holds when at least one of its conditions does: `{"any": [{…}, {…}]}`.
package struct AnyOf: GroupOperator {
    package static let key = "any"
    package let conditions: [Condition]

    init?(_ field: RuleField, _ reader: inout RuleReader) {
        guard let conditions = reader.conditions(in: field) else { return nil }
        self.conditions = conditions
    }

    package var json: JSON { .array(conditions.map(\.json)) }
    package var settles: (truth: Bool, whole: Bool) { (true, true) }
    package func text(_ parts: [String]) -> String {
        parts.count == 1 ? "any of (\(parts[0]))" : "(\(parts.joined(separator: " or ")))"
    }
}
