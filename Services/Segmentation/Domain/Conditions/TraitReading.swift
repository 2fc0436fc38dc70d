import Models

/// What a condition remembers of a trait: the values that a path leads to, as far as a comparison can tell them.
package struct TraitReading: Hashable, Sendable {
    package let path: PropertyPath

    func remember(_ event: TrackingEvent, at instant: Instant, in memory: inout Memory) -> Bool {
        guard event.kind == .identify, let value = event.traits[path.root] else { return false }
        let stamp = EffectiveTraits.Stamp(at: instant, messageID: event.messageID)
        defer { if memory.trait?.stamp == stamp { memory.source = event.position } }
        if let rule = event.traitRules[path.root], rule != .latest {
            // What holds comes of everything said, so the trait is kept whole.
            return take(
                EffectiveTraits.Entry(value: value, stamp: stamp, from: event.sourceID, by: rule), in: &memory
            )
        }
        if let held = memory.trait, held.stamp >= stamp { return false }
        memory.trait = kept(value, stamp)
        return true
    }

    /// Only what the path leads to is kept: as the list of its values, or, where the path goes into the trait's value, in
    /// its place there. Should the trait be given a rule later, this is what was said of it before.
    private func kept(_ value: JSON, _ stamp: EffectiveTraits.Stamp) -> EffectiveTraits.Entry {
        guard path.steps.count > 1 else {
            return EffectiveTraits.Entry(value: .array(values(below: value)), stamp: stamp)
        }
        let part = path.part(of: value, leaf: \.comparable)
        return EffectiveTraits.Entry(
            value: part, stamp: stamp, history: TraitHistory(part, at: stamp, from: nil, by: .latest))
    }

    private func take(_ said: EffectiveTraits.Entry, in memory: inout Memory) -> Bool {
        guard var trait = memory.trait else {
            memory.trait = said
            return true
        }
        if trait.history == nil {
            // From before the trait had a rule. Of a value within it an earlier version kept too little to go by.
            guard path.steps.count == 1 else {
                memory.trait = said
                return true
            }
            trait = EffectiveTraits.Entry(value: trait.value.array?.first ?? .null, stamp: trait.stamp)
        }
        guard trait.merge(said) else { return false }
        memory.trait = trait
        return true
    }

    private func values(below value: JSON) -> [JSON] { path.values(below: value).map(\.comparable) }

    /// What the path leads to.
    func values(_ memory: Memory) -> [JSON] {
        guard let trait = memory.trait else { return [] }
        return trait.history == nil ? trait.value.array ?? [] : values(below: trait.value)
    }

    /// The call that the values come from.
    func source(_ memory: Memory) -> [Occurrence] {
        memory.told.map { [$0] } ?? []
    }
}

extension JSON {
    /// What a comparison can tell of a value: of a list its plain elements, of an object that it is there.
    var comparable: JSON {
        if object != nil { return [:] }
        guard let array else { return self }
        return .array(
            array.prefix(RuleLimits.listElements).filter { $0.object == nil && $0.array == nil && !$0.isNull }
        )
    }
}
