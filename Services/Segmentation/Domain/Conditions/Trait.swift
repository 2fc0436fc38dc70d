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

    package var interest: Interest { .trait(name.root) }

    package func remember(
        _ event: TrackingEvent, at instant: Instant, decided: Instant, in memory: inout Memory
    ) -> Bool {
        guard event.kind == .identify, let value = event.traits[name.root] else { return false }
        let stamp = EffectiveTraits.Stamp(at: instant, messageID: event.messageID)
        if let rule = event.traitRules[name.root], rule != .latest {
            // What holds comes of everything said, so the trait is kept whole.
            return take(
                EffectiveTraits.Entry(value: value, stamp: stamp, from: event.sourceID, by: rule), in: &memory
            )
        }
        if let held = memory.trait, held.stamp >= stamp { return false }
        // Only what the path leads to is kept, as the list of its values.
        memory.trait = EffectiveTraits.Entry(value: .array(values(below: value)), stamp: stamp)
        return true
    }

    private func take(_ said: EffectiveTraits.Entry, in memory: inout Memory) -> Bool {
        guard var trait = memory.trait else {
            memory.trait = said
            return true
        }
        if trait.history == nil {
            // From before the trait had a rule; of a value within it the rest is not known any more.
            let whole: JSON = name.steps.count == 1 ? trait.value.array?.first ?? .null : .null
            trait = EffectiveTraits.Entry(value: whole, stamp: trait.stamp)
        }
        guard trait.merge(said) else { return false }
        memory.trait = trait
        return true
    }

    private func values(below value: JSON) -> [JSON] {
        name.values(below: value).map { Self.comparable($0) }
    }

    /// What the path leads to.
    private func values(_ memory: Memory) -> [JSON] {
        guard let trait = memory.trait else { return [] }
        return trait.history == nil ? trait.value.array ?? [] : values(below: trait.value)
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
        comparison.isTimed
            ? comparison.spans(for: values(memory)).contains(instant) : comparison.holds(for: values(memory))
    }

    package func nextChange(_ memory: Memory, after instant: Instant) -> Instant? {
        comparison.isTimed ? comparison.spans(for: values(memory)).nextBoundary(after: instant) : nil
    }

    package func explain(_ memory: Memory, at instant: Instant) -> Explanation {
        var details: [String: JSON] = [:]
        var events: [Occurrence] = []
        if let trait = memory.trait {
            details["values"] = .array(values(memory))
            events = [Occurrence(at: trait.stamp.at, messageID: trait.stamp.messageID)]
        }
        return Explanation(
            condition: .object([Self.key: json]), holds: holds(memory, at: instant), text: text,
            events: events, details: details)
    }

    package var text: String { "trait \(name.words) \(comparison.text)" }

    package var json: JSON {
        .object(comparison.members.merging(["name": .string(name.text)]) { $1 })
    }
}
