package import Models

/// Something else that is decided of a profile and that a rule may look at.
///
/// A further kind (a score, the stage, consent) is one case here, its answer in `Surroundings`, and a condition that
/// conforms to `ReferenceOperator`; `SegmentDecider` decides again whoever refers to what has changed.
package enum Reference: Hashable, Sendable {
    case segment(String)
}

/// A condition about something else that is decided of the profile. It remembers nothing itself.
package protocol ReferenceOperator: LeafOperator {
    var reference: Reference { get }
    func holds(in surroundings: Surroundings, at instant: Instant) -> Bool
    func nextChange(in surroundings: Surroundings, after instant: Instant) -> Instant?
    func explain(in surroundings: Surroundings, at instant: Instant) -> Explanation
}

extension ReferenceOperator {
    package var interest: Interest { .reference(reference) }

    package func remember(
        _ event: TrackingEvent, at instant: Instant, decided: Instant, in memory: inout Memory
    ) -> Bool { false }

    package func holds(_ memory: Memory, at instant: Instant) -> Bool { holds(in: .none, at: instant) }

    package func nextChange(_ memory: Memory, after instant: Instant) -> Instant? {
        nextChange(in: .none, after: instant)
    }

    package func explain(_ memory: Memory, at instant: Instant) -> Explanation {
        explain(in: .none, at: instant)
    }
}

/// What is decided of a profile besides the rule that looks at it.
package struct Surroundings: Sendable {
    private let set: SegmentSet?
    private let state: ProfileState?
    /// Whether the rule that looks is not in force yet, and sees the others as they will be then.
    private let byNextRules: Bool

    /// Nothing: no segment has the profile in it.
    package static let none = Surroundings(set: nil, state: nil)

    package init(set: SegmentSet?, state: ProfileState?, byNextRules: Bool = false) {
        self.set = set
        self.state = state
        self.byNextRules = byNextRules
    }

    /// A segment that may be referred to, with the state that belongs to its rule.
    func segment(_ named: String) -> (definition: SegmentDefinition, state: SegmentState)? {
        guard let set else { return nil }
        let id = byNextRules ? set.references.upcoming(named) : named
        guard let definition = set[id: id], set.isSound(id), let segment = state?.segments[id],
            segment.version == definition.version
        else { return nil }
        return (definition, segment)
    }
}
