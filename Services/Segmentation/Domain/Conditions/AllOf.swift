package import Models

/// Holds when each of its conditions does: `{"all": [{…}, {…}]}`.
package struct AllOf: GroupOperator {
    package static let key = "all"
    package let conditions: [Condition]

    init?(_ field: RuleField, _ reader: inout RuleReader) {
        guard let conditions = reader.conditions(in: field) else { return nil }
        self.conditions = conditions
    }

    package var json: JSON { .array(conditions.map(\.json)) }
    package var settles: (truth: Bool, whole: Bool) { (false, false) }
    package func text(_ parts: [String]) -> String {
        parts.count == 1 ? "all of (\(parts[0]))" : "(\(parts.joined(separator: " and ")))"
    }
}
