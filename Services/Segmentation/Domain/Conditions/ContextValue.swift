package import Models

/// A comparison with the latest that the context of an event said: where somebody is, their language, their device.
/// `{"context": {"property": "location.country", "equals": "DE"}}`.
///
/// The value is that of the latest event, by time and then message id, of whatever kind, whose context has one at that
/// place.
package struct ContextValue: LeafOperator {
    package static let key = "context"

    package let property: PropertyPath
    package let comparison: Comparison

    init(_ field: RuleField) throws(RuleProblem) {
        try field.allow(["property"] + Comparison.members)
        property = try PropertyPath(field.required("property", "a place in the context: location.country"))
        comparison = try Comparison(in: field)
    }

    package var keeps: String? { nil }
    package var interest: Interest { .context(property.root) }

    package func remember(
        _ event: TrackingEvent, at instant: Instant, decided: Instant, in memory: inout Memory
    ) -> Bool {
        let values = property.values(in: event.context)
        guard !values.isEmpty else { return false }
        let stamp = EffectiveTraits.Stamp(at: instant, messageID: event.messageID)
        if let held = memory.trait, held.stamp >= stamp { return false }
        memory.trait = EffectiveTraits.Entry(value: .array(values.map(\.comparable)), stamp: stamp)
        memory.source = event.position
        return true
    }

    private func values(_ memory: Memory) -> [JSON] { memory.trait?.value.array ?? [] }

    package func holds(_ memory: Memory, at instant: Instant) -> Bool {
        comparison.spans(for: values(memory)).contains(instant)
    }

    package func nextChange(_ memory: Memory, after instant: Instant) -> Instant? {
        comparison.isTimed ? comparison.spans(for: values(memory)).nextBoundary(after: instant) : nil
    }

    package func explain(_ memory: Memory, at instant: Instant) -> Explanation {
        Explanation(
            condition: .object([Self.key: json]), holds: holds(memory, at: instant), text: text,
            events: memory.told.map { [$0] } ?? [],
            details: memory.trait == nil ? [:] : ["values": .array(values(memory))]
        )
        .with(values(memory).finding)
    }

    package var text: String { "context \(property.words) \(comparison.text)" }

    package var json: JSON {
        .object(comparison.members.merging(["property": .string(property.text)]) { $1 })
    }
}
