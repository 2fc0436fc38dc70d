import Models

/// The keywords that apply other subschemas to the same value.
struct CombinedRules: Sendable {
    static let keywords = ["$ref", "allOf", "anyOf", "oneOf", "not"]

    var reference: Int?
    var all: [Int] = []
    var any: [Int] = []
    var one: [Int] = []
    var not: Int?

    init?(_ field: SchemaField, _ reader: inout SchemaReader) {
        guard field.hasAny(Self.keywords) else { return nil }
        all = field.subschemas("allOf", &reader)
        any = field.subschemas("anyOf", &reader)
        one = field.subschemas("oneOf", &reader)
        reader.isUnderNot += 1
        not = field.subschema("not", &reader)
        reader.isUnderNot -= 1
    }

    /// Subschemas that a conforming value conforms to.
    var certain: [Int] { (reference.map { [$0] } ?? []) + all }

    /// Subschemas that a conforming value may conform to.
    var alternatives: [Int] { any + one }

    func check(_ value: JSON, _ evaluation: inout SchemaEvaluation) -> Bool {
        var isValid = true
        for schema in certain where !evaluation.check(schema, value) {
            isValid = false
            if evaluation.mayStop { return false }
        }
        if !any.isEmpty, !any.contains(where: { evaluation.probe($0, value) }) {
            isValid = evaluation.fail("anyOf", "must conform to one of \(any.count) alternatives")
        }
        if !one.isEmpty {
            var count = 0
            for schema in one where count < 2 && evaluation.probe(schema, value) { count += 1 }
            if count != 1 {
                isValid = evaluation.fail(
                    "oneOf", "must conform to exactly one of \(one.count) alternatives")
            }
        }
        if let not, evaluation.probe(not, value) {
            isValid = evaluation.fail("not", "must not be what is excluded")
        }
        return isValid
    }
}
