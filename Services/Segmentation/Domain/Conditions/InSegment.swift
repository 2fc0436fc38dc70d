package import Models

/// That somebody is in another segment: `{"segment": "big-spenders"}`.
///
/// It is as true at every instant as the other segment's own rule, and changes with it at the same instant. Segments
/// must not lead back to themselves; one that does, or that does not exist, has nobody in it as far as others see.
package struct InSegment: ReferenceOperator {
    package static let key = "segment"

    package let id: String

    init(_ field: RuleField) throws(RuleProblem) {
        guard let id = field.json.string, SegmentDefinition.isValid(id: id) else {
            throw field.problem("the id of a segment")
        }
        self.id = id
    }

    package var reference: Reference { .segment(id) }

    package func holds(in surroundings: Surroundings, at instant: Instant) -> Bool {
        surroundings.segment(id).map {
            $0.definition.rule.holds($0.state.memories, at: instant, in: surroundings)
        } ?? false
    }

    package func nextChange(in surroundings: Surroundings, after instant: Instant) -> Instant? {
        guard let (definition, state) = surroundings.segment(id) else { return nil }
        return definition.rule.nextInstant(state.memories, after: instant, in: surroundings)
    }

    package func explain(in surroundings: Surroundings, at instant: Instant) -> Explanation {
        guard let (definition, state) = surroundings.segment(id) else {
            return Explanation(condition: .object([Self.key: json]), holds: false, text: text)
        }
        let other = definition.rule.explain(state.memories, at: instant, in: surroundings)
        return Explanation(
            condition: .object([Self.key: json]), holds: other.holds, text: text,
            details: ["version": .integer(Int64(definition.version))], parts: [other])
    }

    package var text: String { "in segment \(RuleWords.name(id))" }

    package var json: JSON { .string(id) }
}
