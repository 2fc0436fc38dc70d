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
    case first(FirstTime)
    case last(LastTime)
    case average(Average)
    case minimum(Minimum)
    case maximum(Maximum)
    case distinct(Distinct)
    case sequence(EventSequence)
    case ratio(Ratio)
    case trait(Trait)
    case computedTrait(TraitOfEvents)
    case context(ContextValue)
    case identifier(Known)
    case age(Age)
    case date(TraitDate)
    case account(AccountTrait)
    case consent(ConsentState)
    case segment(InSegment)
    case score(ScoreValue)
    case stage(InStage)
    case rfm(RFM)
    case percentile(Percentile)
    /// What a score is made up of; no rule has it in it.
    case scoring(Scoring)
    /// What makes somebody be in a stage; no rule has it in it.
    case currentStage(CurrentStage)
    /// A rule with what the consent policy asks for it; no rule that somebody writes has one of these in it.
    case permitted(Permitted)
    case permission(PurposePermission)
    case place(InPlace)

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
        case .rfm(let group): .group(group)
        case .percentile(let group): .group(group)
        case .count(let leaf): .leaf(leaf)
        case .absent(let leaf): .leaf(leaf)
        case .unanswered(let leaf): .leaf(leaf)
        case .sum(let leaf): .leaf(leaf)
        case .first(let leaf): .leaf(leaf)
        case .last(let leaf): .leaf(leaf)
        case .average(let leaf): .leaf(leaf)
        case .minimum(let leaf): .leaf(leaf)
        case .maximum(let leaf): .leaf(leaf)
        case .distinct(let leaf): .leaf(leaf)
        case .sequence(let leaf): .leaf(leaf)
        case .ratio(let leaf): .leaf(leaf)
        case .trait(let leaf): .leaf(leaf)
        case .computedTrait(let leaf): .leaf(leaf)
        case .context(let leaf): .leaf(leaf)
        case .identifier(let leaf): .leaf(leaf)
        case .age(let leaf): .leaf(leaf)
        case .date(let leaf): .leaf(leaf)
        case .account(let leaf): .leaf(leaf)
        case .consent(let leaf): .leaf(leaf)
        case .segment(let leaf): .leaf(leaf)
        case .score(let leaf): .leaf(leaf)
        case .stage(let leaf): .leaf(leaf)
        case .currentStage(let leaf): .leaf(leaf)
        case .scoring(let leaf): .leaf(leaf)
        case .permitted(let group): .group(group)
        case .permission(let leaf): .leaf(leaf)
        case .place(let leaf): .leaf(leaf)
        }
    }

    /// How each kind is read, by its key in the rule.
    static let readers: [(key: String, read: @Sendable (RuleField, inout RuleReader) -> Condition?)] = [
        (AllOf.key, { AllOf($0, &$1).map { .all($0) } }),
        (AnyOf.key, { AnyOf($0, &$1).map { .any($0) } }),
        (Not.key, { Not($0, &$1).map { .not($0) } }),
        leaf(Count.key) { field throws(RuleProblem) in .count(try Count(field)) },
        leaf(Absent.key) { field throws(RuleProblem) in .absent(try Absent(field)) },
        leaf(Unanswered.key) { field throws(RuleProblem) in .unanswered(try Unanswered(field)) },
        leaf(Sum.key) { field throws(RuleProblem) in .sum(try Sum(field)) },
        leaf(Average.key) { field throws(RuleProblem) in .average(try Average(field)) },
        leaf(Minimum.key) { field throws(RuleProblem) in .minimum(try Minimum(field)) },
        leaf(Maximum.key) { field throws(RuleProblem) in .maximum(try Maximum(field)) },
        leaf(Distinct.key) { field throws(RuleProblem) in .distinct(try Distinct(field)) },
        leaf(FirstTime.key) { field throws(RuleProblem) in .first(try FirstTime(field)) },
        leaf(LastTime.key) { field throws(RuleProblem) in .last(try LastTime(field)) },
        leaf(EventSequence.key) { field throws(RuleProblem) in .sequence(try EventSequence(field)) },
        leaf(Ratio.key) { field throws(RuleProblem) in .ratio(try Ratio(field)) },
        leaf(Trait.key) { field throws(RuleProblem) in .trait(try Trait(field)) },
        leaf(TraitOfEvents.key) { field throws(RuleProblem) in .computedTrait(try TraitOfEvents(field)) },
        leaf(ContextValue.key) { field throws(RuleProblem) in .context(try ContextValue(field)) },
        leaf(Known.key) { field throws(RuleProblem) in .identifier(try Known(field)) },
        leaf(Age.key) { field throws(RuleProblem) in .age(try Age(field)) },
        leaf(TraitDate.key) { field throws(RuleProblem) in .date(try TraitDate(field)) },
        leaf(AccountTrait.key) { field throws(RuleProblem) in .account(try AccountTrait(field)) },
        leaf(ConsentState.key) { field throws(RuleProblem) in .consent(try ConsentState(field)) },
        leaf(InSegment.key) { field throws(RuleProblem) in .segment(try InSegment(field)) },
        leaf(InStage.key) { field throws(RuleProblem) in .stage(try InStage(field)) },
        leaf(ScoreValue.key) { field throws(RuleProblem) in .score(try ScoreValue(field)) },
        leaf(Percentile.key) { field throws(RuleProblem) in .percentile(try Percentile(field)) },
        leaf(RFM.key) { field throws(RuleProblem) in .rfm(try RFM(field)) },
    ]

    private static func leaf(
        _ key: String, _ read: @escaping @Sendable (RuleField) throws(RuleProblem) -> Condition
    ) -> (key: String, read: @Sendable (RuleField, inout RuleReader) -> Condition?) {
        (key, { field, reader in reader.leaf { () throws(RuleProblem) in try read(field) } })
    }

    /// The rule as JSON; reading it gives the same rule.
    package var json: JSON {
        switch kind {
        case .group(let group): Self.member(group)
        case .leaf(let leaf): Self.member(leaf)
        }
    }

    /// The rule as text, which `RuleText` reads as the same rule.
    package var text: String {
        guard case .group(let group) = kind, group is AllOf || group is AnyOf, group.conditions.count > 1
        else { return part }
        return String(part.dropFirst().dropLast())
    }

    /// The same as part of a rule, in parentheses where it is a group.
    private var part: String {
        switch kind {
        case .group(let group): group.text(group.conditions.map(\.part))
        case .leaf(let leaf): leaf.text
        }
    }

    private static func member<Operator: ConditionOperator>(_ condition: Operator) -> JSON {
        .object([Operator.key: condition.json])
    }
}
