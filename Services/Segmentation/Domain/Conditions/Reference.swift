package import Models

/// Something else that is decided of a profile and that a rule may look at.
///
/// A further kind (consent) is one case here, its answer in `Surroundings`, and a condition that conforms to
/// `ReferenceOperator`; `SegmentDecider` decides again whoever refers to what has changed.
package enum Reference: Hashable, Sendable {
    case segment(String)
    case score(String)

    /// What it is called among the segments that are decided together.
    var key: String {
        switch self {
        case .segment(let id): id
        case .score(let id): SegmentDefinition.key(ofScore: id)
        }
    }
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

    /// Nothing: no segment has the profile in it.
    package static let none = Surroundings(set: nil, state: nil)

    package init(set: SegmentSet?, state: ProfileState?) {
        self.set = set
        self.state = state
    }

    /// A segment that may be referred to, with the state that belongs to its rule.
    func segment(_ id: String) -> (definition: SegmentDefinition, state: SegmentState)? {
        guard let set, let definition = set[id: id], set.isSound(id), let segment = state?.segments[id],
            segment.version == definition.version
        else { return nil }
        return (definition, segment)
    }

    /// A score with what is remembered for it.
    func score(_ id: String) -> (version: Int, scoring: Scoring, memory: Memory)? {
        let key = SegmentDefinition.key(ofScore: id)
        guard let definition = set?[id: key], let scoring = definition.scoring,
            let own = state?.segments[key], own.version == definition.version,
            let memory = own.memories.first
        else { return nil }
        return (definition.version, scoring, memory)
    }
}
