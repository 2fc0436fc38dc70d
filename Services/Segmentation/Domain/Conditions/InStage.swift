package import Models

/// That somebody is in a journey stage: `{"stage": "decision"}`.
package struct InStage: RuleReference {
    package static let key = "stage"

    package let id: String

    init(_ field: RuleField) throws(RuleProblem) {
        guard let id = field.json.string, SegmentDefinition.isValid(id: id) else {
            throw field.problem("the id of a stage")
        }
        self.id = id
    }

    package var reference: Reference { .stage(id) }
    package var text: String { "in stage \(RuleWords.name(id))" }
    package var json: JSON { .string(id) }
}
