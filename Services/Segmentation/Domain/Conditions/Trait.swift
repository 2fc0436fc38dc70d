package import Models

/// A comparison with a trait: `{"trait": {"name": "address.city", "equals": "Berlin"}}`.
///
/// The value is that of the latest identify call, by time and then message id, that carries the trait; null
/// removes it.
package struct Trait: LeafOperator {
    package static let key = "trait"

    package let name: PropertyPath
    package let comparison: Comparison

    init(_ field: RuleField) throws(RuleProblem) {
        try field.allow(["name"] + Comparison.keys)
        name = try PropertyPath(field.required("name", "the name of a trait"))
        comparison = try Comparison(in: field)
    }

    package var interest: Interest { .trait(name.root) }

    package func remember(
        _ event: TrackingEvent, at instant: Instant, decided: Instant, in memory: inout Memory
    ) -> Bool {
        guard event.kind == .identify, let value = event.traits[name.root] else { return false }
        let stamp = EffectiveTraits.Stamp(at: instant, messageID: event.messageID)
        if let held = memory.trait, held.stamp >= stamp { return false }
        // Only what the path leads to is kept, as the list of its values.
        let values = name.values(below: value).map { Self.comparable($0) }
        memory.trait = EffectiveTraits.Entry(value: .array(values), stamp: stamp)
        return true
    }

    /// What a comparison can tell of a value: of a list its plain elements, of an object that it is there.
    private static func comparable(_ value: JSON) -> JSON {
        if value.object != nil { return [:] }
        guard let array = value.array else { return value }
        return .array(
            array.prefix(RuleLimits.listElements).filter { $0.object == nil && $0.array == nil && !$0.isNull }
        )
    }

    package func holds(_ memory: Memory, at instant: Instant) -> Bool {
        comparison.holds(for: memory.trait?.value.array ?? [])
    }

    package func nextChange(_ memory: Memory, after instant: Instant) -> Instant? { nil }

    package func explain(_ memory: Memory, at instant: Instant) -> Explanation {
        var details: [String: JSON] = [:]
        var events: [Occurrence] = []
        if let trait = memory.trait {
            details["values"] = trait.value
            events = [Occurrence(at: trait.stamp.at, messageID: trait.stamp.messageID)]
        }
        return Explanation(
            condition: .object([Self.key: json]), holds: holds(memory, at: instant), text: text,
            events: events, details: details)
    }

    package var text: String { "trait \(name.text) \(comparison.text)" }

    package var json: JSON {
        let (key, value) = comparison.member
        return .object(["name": .string(name.text), key: value])
    }
}
