package import Models

/// A comparison with a trait of the accounts that somebody belongs to: `{"account": {"name": "plan", "equals": "pro"}}`.
///
/// Somebody belongs to the accounts that their own group calls name. What is known of an account is what the calls of all its
/// members say: the latest of these, by time and then message id, that carries the trait says its value, and null removes
/// it. Of several accounts one that passes is enough; `notEquals`, `notIn` and `exists: false` ask it of all.
package struct AccountTrait: LeafOperator {
    package static let key = "account"
    /// The most accounts of one profile: those with the latest calls.
    static let most = 100

    package let name: PropertyPath
    package let comparison: Comparison

    init(_ field: RuleField) throws(RuleProblem) {
        try field.allow(["name"] + Comparison.members)
        name = try PropertyPath(field.required("name", "the name of a trait of accounts"))
        comparison = try Comparison(in: field)
    }

    package var keeps: String? { latest(Self.most, of: "somebody's accounts") }
    package var interest: Interest { .account(name.root) }

    package func remember(
        _ event: TrackingEvent, at instant: Instant, decided: Instant, in memory: inout Memory
    ) -> Bool {
        guard event.kind == .group, let group = event.groupID,
            let told = event.account.map({ $0.traits[name.root] })
                ?? event.traits[name.root].map({
                    AccountKnowledge.Told(
                        value: $0, at: instant, messageID: event.messageID, position: event.position)
                })
        else { return false }
        let call = Occurrence(
            at: told.at, messageID: told.messageID, position: told.position, group: group)
        if let known = memory.occurrences.firstIndex(where: { $0.group == group }) {
            guard memory.occurrences[known] < call else { return false }
            memory.occurrences.remove(at: known)
        }
        guard memory.insert(call) else { return false }
        memory.keep(Self.most)
        var values = memory.trait?.value.object ?? [:]
        values[group] = .array(name.values(below: told.value).map(\.comparable))
        let kept = Set(memory.occurrences.compactMap(\.group))
        values = values.filter { kept.contains($0.key) }
        let latest = memory.occurrences.last ?? call
        memory.trait = EffectiveTraits.Entry(
            value: .object(values),
            stamp: EffectiveTraits.Stamp(at: latest.at, messageID: latest.messageID))
        return kept.contains(group)
    }

    /// The values of all accounts, in the order of their latest calls.
    private func values(_ memory: Memory) -> [JSON] {
        memory.occurrences.flatMap { memory.trait?.value[$0.group ?? ""]?.array ?? [] }
    }

    package func holds(_ memory: Memory, at instant: Instant) -> Bool {
        comparison.spans(for: values(memory)).contains(instant)
    }

    package func nextChange(_ memory: Memory, after instant: Instant) -> Instant? {
        comparison.isTimed ? comparison.spans(for: values(memory)).nextBoundary(after: instant) : nil
    }

    package func explain(_ memory: Memory, at instant: Instant) -> Explanation {
        Explanation(
            condition: .object([Self.key: json]), holds: holds(memory, at: instant), text: text,
            events: memory.occurrences, essential: Self.most,
            details: memory.trait == nil ? [:] : ["values": .array(values(memory))]
        )
        .with(values(memory).finding)
    }

    package var text: String { "account \(name.words) \(comparison.text)" }

    package var json: JSON {
        .object(comparison.members.merging(["name": .string(name.text)]) { $1 })
    }
}
