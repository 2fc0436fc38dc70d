package import Models

/// Something else that is decided of a profile and that a rule may look at.
///
/// A further kind (consent) is one case here, its answer in `Surroundings`, and a condition that conforms to
/// `ReferenceOperator`; `SegmentDecider` decides again whoever refers to what has changed.
package enum Reference: Hashable, Sendable {
    case segment(String)
    case score(String)
    /// That somebody is in a journey stage.
    case stage(String)
    /// That the rule of a stage holds, whatever those of later ones say.
    case stageRule(String)

    /// What it is called among the segments that are decided together.
    var key: String {
        switch self {
        case .segment(let id): id
        case .score(let id): SegmentDefinition.key(ofScore: id)
        case .stage(let id): SegmentDefinition.key(ofStage: id)
        case .stageRule(let id): SegmentDefinition.key(ofStageRule: id)
        }
    }
}

/// A condition about something else that is decided of the profile. It remembers nothing itself.
package protocol ReferenceOperator: LeafOperator {
    var references: [Reference] { get }
    func holds(in surroundings: Surroundings, at instant: Instant) -> Bool
    func nextChange(in surroundings: Surroundings, after instant: Instant) -> Instant?
    func explain(in surroundings: Surroundings, at instant: Instant) -> Explanation
}

extension ReferenceOperator {
    package var keeps: String? { nil }
    package var interest: Interest { .references(references) }

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

/// A condition that another rule holds for the profile, as that rule has it at the same instant.
package protocol RuleReference: ReferenceOperator {
    var reference: Reference { get }
}

extension RuleReference {
    package var references: [Reference] { [reference] }

    package func holds(in surroundings: Surroundings, at instant: Instant) -> Bool {
        surroundings.holds(reference, at: instant)
    }

    package func nextChange(in surroundings: Surroundings, after instant: Instant) -> Instant? {
        surroundings.nextChange(of: reference, after: instant)
    }

    package func explain(in surroundings: Surroundings, at instant: Instant) -> Explanation {
        surroundings.explain(reference, as: self, at: instant)
    }
}

/// What is decided of a profile besides the rule that looks at it.
package struct Surroundings: Sendable {
    private let set: SegmentSet?
    /// One of these segments.
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

    /// A rule that may be referred to, with what it remembers.
    private func rule(_ reference: Reference) -> (definition: SegmentDefinition, memories: Memories)? {
        guard let set, let state else { return nil }
        let key = byNextRules ? set.references.upcoming(reference.key) : reference.key
        guard let place = set.place(of: key), set.isSound(key), state.segmentState(at: place) != nil else {
            return nil
        }
        return (set.segments[place], Memories(state, slots: set.slots[place]))
    }

    /// Whether a rule holds.
    func holds(_ reference: Reference, at instant: Instant) -> Bool {
        rule(reference).map { $0.definition.rule.holds($0.memories, at: instant, in: self) } ?? false
    }

    /// The next instant after this one at which its truth may change if nothing happens.
    func nextChange(of reference: Reference, after instant: Instant) -> Instant? {
        guard let (definition, memories) = rule(reference) else { return nil }
        return definition.rule.nextInstant(memories, after: instant, in: self)
    }

    /// Why it holds or not, as part of the condition that looks at it.
    func explain(
        _ reference: Reference, as condition: some ReferenceOperator, at instant: Instant
    ) -> Explanation {
        let written = JSON.object([type(of: condition).key: condition.json])
        guard let (definition, memories) = rule(reference) else {
            return Explanation(condition: written, holds: false, text: condition.text)
        }
        let other = definition.rule.explain(memories, at: instant, in: self)
        return Explanation(
            condition: written, holds: other.holds, text: condition.text,
            details: ["version": .integer(Int64(definition.version))], parts: [other])
    }

    /// A score with what is remembered for it.
    func score(_ id: String) -> (version: Int, scoring: Scoring, memory: Memory)? {
        guard let set, let state else { return nil }
        let own = SegmentDefinition.key(ofScore: id)
        let key = byNextRules ? set.references.upcoming(own) : own
        guard let place = set.place(of: key), state.segmentState(at: place) != nil,
            let scoring = set.segments[place].scoring, let slot = set.slots[place].first
        else { return nil }
        return (set.segments[place].version, scoring, state.memory(slot))
    }
}
