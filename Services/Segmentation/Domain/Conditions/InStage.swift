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

    /// What makes somebody be in it is this very condition once more, so its parts are shown at once.
    package func explain(in surroundings: Surroundings, at instant: Instant) -> Explanation {
        var explanation = surroundings.explain(reference, as: self, at: instant)
        if let own = explanation.parts.first {
            explanation.finding = own.finding
            explanation.parts = own.parts
        }
        return explanation
    }

    package var text: String { "in stage \(RuleWords.name(id))" }
    package var json: JSON { .string(id) }
}
