package import Models

/// Holds when its condition does not: `{"not": {…}}`.
package struct Not: GroupOperator {
    package static let key = "not"
    package let conditions: [Condition]

    init?(_ field: RuleField, _ reader: inout RuleReader) {
        guard let condition = reader.condition(field) else { return nil }
        conditions = [condition]
    }

    package var json: JSON { conditions.first?.json ?? .null }
    package var settles: (truth: Bool, whole: Bool) { (true, false) }
    package func text(_ parts: [String]) -> String { "not \(parts.first ?? "")" }
}
