package import Models

/// Which of the values that were said of a trait holds.
package enum TraitPolicy: Hashable, Sendable {
    case first, maximum, union
    /// The best source first; those that are not named come after all that are.
    case priority([SourceID])

    /// What it says of an event of a source.
    func rule(for sourceID: SourceID) -> TraitRule {
        switch self {
        case .first: .first
        case .maximum: .maximum
        case .union: .union
        case .priority(let sources): .priority(rank: sources.firstIndex(of: sourceID) ?? sources.count)
        }
    }
}

extension IdentityPolicy {
    /// What a source's word on a trait goes by.
    package func rule(of name: String, from sourceID: SourceID) -> TraitRule {
        traits[name]?.rule(for: sourceID) ?? .latest
    }

    /// The traits of the events that have a rule.
    package func ruledTraits(of events: [TrackingEvent]) -> Set<String> {
        guard !traits.isEmpty else { return [] }
        return Set(
            events.lazy.filter { $0.kind == .identify }.flatMap(\.traits.keys).filter { traits[$0] != nil })
    }

    /// The rules of the traits that an event brings, as far as they have any.
    func rules(for event: TrackingEvent) -> [String: TraitRule] {
        guard !traits.isEmpty, event.kind == .identify else { return [:] }
        var rules: [String: TraitRule] = [:]
        for name in event.traits.keys { rules[name] = traits[name]?.rule(for: event.sourceID) }
        return rules
    }
}
