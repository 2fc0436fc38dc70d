package import Models

/// That somebody is in another segment: `{"segment": "big-spenders"}`.
///
/// It is as true at every instant as the other segment's own rule, and changes with it at the same instant. Segments
/// must not lead back to themselves; one that does, or that does not exist, has nobody in it as far as others see.
package struct InSegment: RuleReference {
    package static let key = "segment"

    package let id: String

    init(_ field: RuleField) throws(RuleProblem) {
        guard let id = field.json.string, SegmentDefinition.isValid(id: id) else {
            throw field.problem("the id of a segment")
        }
        self.id = id
    }

    package var reference: Reference { .segment(id) }

    package var text: String { "in segment \(RuleWords.name(id))" }

    package var json: JSON { .string(id) }
}
