package import Models

/// A rule: a condition, or conditions combined.
package indirect enum Condition: Hashable, Sendable {
    case all(AllOf)
    case any(AnyOf)
    case not(Not)
    case count(Count)
    case absent(Absent)
    case unanswered(Unanswered)
    case sum(Sum)
    case trait(Trait)

    /// What a condition is made of.
    package enum Kind {
        case group(any GroupOperator)
        case leaf(any LeafOperator)
    }

    /// The one place that tells the kinds apart.
    package var kind: Kind {
        switch self {
        case .all(let group): .group(group)
        case .any(let group): .group(group)
        case .not(let group): .group(group)
        case .count(let leaf): .leaf(leaf)
        case .absent(let leaf): .leaf(leaf)
        case .unanswered(let leaf): .leaf(leaf)
        case .sum(let leaf): .leaf(leaf)
        case .trait(let leaf): .leaf(leaf)
        }
    }

    /// How each kind is read, by its key in the rule.
    static let readers: [(key: String, read: @Sendable (RuleField, inout RuleReader) -> Condition?)] = [
        (AllOf.key, { AllOf($0, &$1).map { .all($0) } }),
        (AnyOf.key, { AnyOf($0, &$1).map { .any($0) } }),
        (Not.key, { Not($0, &$1).map { .not($0) } }),
        (Count.key, { field, reader in reader.leaf { () throws(RuleProblem) in .count(try Count(field)) } }),
        (
            Absent.key,
            { field, reader in reader.leaf { () throws(RuleProblem) in .absent(try Absent(field)) } }
        ),
        (
            Unanswered.key,
            { field, reader in reader.leaf { () throws(RuleProblem) in .unanswered(try Unanswered(field)) } }
        ),
        (Sum.key, { field, reader in reader.leaf { () throws(RuleProblem) in .sum(try Sum(field)) } }),
        (Trait.key, { field, reader in reader.leaf { () throws(RuleProblem) in .trait(try Trait(field)) } }),
    ]

    /// The rule as JSON; reading it gives the same rule.
    package var json: JSON {
        switch kind {
        case .group(let group): Self.member(group)
        case .leaf(let leaf): Self.member(leaf)
        }
    }

    /// The condition in words.
    package var text: String {
        switch kind {
        case .group(let group): group.text(group.conditions.map(\.text))
        case .leaf(let leaf): leaf.text
        }
    }

    private static func member<Operator: ConditionOperator>(_ condition: Operator) -> JSON {
        .object([Operator.key: condition.json])
    }
}
