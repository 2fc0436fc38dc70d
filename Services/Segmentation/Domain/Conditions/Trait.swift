package import Models

/// A comparison with a trait: `{"trait": {"name": "address.city", "equals": "Berlin"}}`.
///
/// The value is that of the latest identify call, by time and then message id, that carries the trait, or the one that
/// the rule which the identity policy has for the trait makes of all calls; null removes it.
package struct Trait: LeafOperator {
    package static let key = "trait"

    package let name: PropertyPath
    package let comparison: Comparison

    init(_ field: RuleField) throws(RuleProblem) {
        try field.allow(["name"] + Comparison.members)
        name = try PropertyPath(field.required("name", "the name of a trait"))
        comparison = try Comparison(in: field)
    }

    package var keeps: String? { nil }
    package var interest: Interest { .trait(name.root) }

    package func remember(
        _ event: TrackingEvent, at instant: Instant, decided: Instant, in memory: inout Memory
    ) -> Bool {
        reading.remember(event, at: instant, in: &memory)
    }

    private var reading: TraitReading { TraitReading(path: name) }

    private func values(_ memory: Memory) -> [JSON] { reading.values(memory) }

    package func holds(_ memory: Memory, at instant: Instant) -> Bool {
        comparison.isTimed
            ? comparison.spans(for: values(memory)).contains(instant) : comparison.holds(for: values(memory))
    }

    package func nextChange(_ memory: Memory, after instant: Instant) -> Instant? {
        comparison.isTimed ? comparison.spans(for: values(memory)).nextBoundary(after: instant) : nil
    }

    package func explain(_ memory: Memory, at instant: Instant) -> Explanation {
        Explanation(
            condition: .object([Self.key: json]), holds: holds(memory, at: instant), text: text,
            events: reading.source(memory),
            details: memory.trait == nil ? [:] : ["values": .array(values(memory))]
        )
        .with(values(memory).finding)
    }

    package var text: String { "trait \(name.words) \(comparison.text)" }

    package var json: JSON {
        .object(comparison.members.merging(["name": .string(name.text)]) { $1 })
    }
}
