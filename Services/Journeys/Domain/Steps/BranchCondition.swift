package import Models

/// What a branch can ask: a trait, an event since entry, or a segment.
package enum BranchCondition: Hashable, Sendable {
    case trait(String, Comparison)
    case event(EventPattern)
    case segment(String)

    package var event: EventPattern? {
        if case .event(let pattern) = self { pattern } else { nil }
    }

    package var asksTrait: Bool {
        if case .trait = self { true } else { false }
    }

    package var asksSegment: Bool {
        if case .segment = self { true } else { false }
    }

    /// Whether it holds, and what was seen.
    package func answer(_ moment: StepMoment) -> (holds: Bool, evidence: JSON) {
        switch self {
        case .trait(let name, let comparison):
            let value = moment.profile.traits[name]
            let holds = comparison.passes(value.map { [$0] } ?? [])
            return (holds, ["trait": .string(name), "value": value ?? .null, "holds": .bool(holds)])
        case .event(let pattern):
            let seen = moment.instance.seen[pattern.key]
            return (
                seen != nil,
                [
                    "event": .string(pattern.event), "messageId": seen.map { .string($0.messageID) } ?? .null,
                    "holds": .bool(seen != nil),
                ]
            )
        case .segment(let name):
            let holds = moment.profile.segments.contains(name)
            return (holds, ["segment": .string(name), "holds": .bool(holds)])
        }
    }
}

extension BranchCondition {
    init?(_ node: DefinitionNode, _ path: String, _ log: MistakeLog) {
        let expected = "one of `trait`, `event`, `segment`"
        guard var reader = ObjectReader(node, path, log, expected: "a condition with \(expected)") else {
            return nil
        }
        let asked = ["trait", "event", "segment"].filter { reader.optional($0) != nil }
        guard asked.count == 1 else {
            log.report(
                node, path, expected: expected, found: asked.isEmpty ? nil : asked.joined(separator: " and "))
            return nil
        }
        let condition: BranchCondition?
        switch asked[0] {
        case "trait":
            let name = reader.string("trait", expected: "the name of a trait")
            let comparison = Comparison(&reader)
            condition = name.flatMap { name in comparison.map { .trait(name, $0) } }
        case "event": condition = EventPattern(&reader, name: "event").map { .event($0) }
        default:
            condition = reader.string("segment", expected: "the id of a segment").map { .segment($0) }
        }
        reader.finish()
        guard let condition else { return nil }
        self = condition
    }
}
