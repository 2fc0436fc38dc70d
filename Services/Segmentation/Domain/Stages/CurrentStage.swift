package import Models

/// That the rule of a stage holds and that of no later one does, which is what being in it means.
///
/// It looks at the rules of all stages, also of those that make no difference to it: so whatever is decided of one stage
/// is decided of all of them, at the same instant.
package struct CurrentStage: ReferenceOperator {
    package static let key = "currentStage"

    package let id: String
    /// All stages in their order.
    let stages: [String]

    private var later: ArraySlice<String> {
        stages[(stages.firstIndex(of: id).map { $0 + 1 } ?? stages.endIndex)...]
    }

    package var references: [Reference] { stages.map { .stageRule($0) } }

    package func holds(in surroundings: Surroundings, at instant: Instant) -> Bool {
        surroundings.holds(.stageRule(id), at: instant)
            && !later.contains { surroundings.holds(.stageRule($0), at: instant) }
    }

    package func nextChange(in surroundings: Surroundings, after instant: Instant) -> Instant? {
        ([id] + later).compactMap { surroundings.nextChange(of: .stageRule($0), after: instant) }.min()
    }

    /// Its own rule, and those of the later ones.
    package func explain(in surroundings: Surroundings, at instant: Instant) -> Explanation {
        let own = surroundings.explain(.stageRule(id), as: StageRule(id: id), at: instant)
        let others = later.map { stage in
            (stage, surroundings.explain(.stageRule(stage), as: StageRule(id: stage), at: instant))
        }
        let beyond = others.last { $0.1.holds }?.0
        return Explanation(
            condition: .object([InStage.key: .string(id)]), holds: own.holds && beyond == nil, text: text,
            finding: beyond.map { "it is stage \(RuleWords.name($0))" }, parts: [own] + others.map(\.1))
    }

    package var text: String { "in stage \(RuleWords.name(id))" }
    package var json: JSON { .string(id) }
}

/// That the rule of a stage holds; no rule has it in it, but explanations do.
struct StageRule: RuleReference {
    static let key = "stageRule"

    let id: String

    var reference: Reference { .stageRule(id) }
    var text: String { "the rule of stage \(RuleWords.name(id))" }
    var json: JSON { .string(id) }
}
