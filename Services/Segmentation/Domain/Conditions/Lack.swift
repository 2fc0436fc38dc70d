package import Models

/// Why somebody is not in a segment: the conditions that fail, each with what was found and by how much it fails.
package indirect enum Lack: Hashable, Sendable {
    /// A condition that does not hold, or, if `holds`, one that holds and must not. For a segment, why that is so.
    case condition(Explanation, because: Lack?)
    /// Each of them has to change.
    case each([Lack])
    /// It is enough if one of them changes.
    case oneOf([Lack])

    package var json: JSON {
        switch self {
        case .condition(let explanation, let because):
            var members: [String: JSON] = [
                "condition": explanation.condition, "text": .string(explanation.text),
                "holds": .bool(explanation.holds),
            ]
            members["finding"] = explanation.finding.map { .string($0) }
            if !explanation.details.isEmpty { members["details"] = .object(explanation.details) }
            members["because"] = because?.json
            return .object(members)
        case .each(let parts): return ["each": .array(parts.map(\.json))]
        case .oneOf(let parts): return ["oneOf": .array(parts.map(\.json))]
        }
    }

    /// In words: `did "A" at least 3 times: 2 of 3 times; 1 more is needed`.
    package var text: String {
        switch self {
        case .condition(let explanation, let because):
            let must = explanation.holds ? "must not be: " : ""
            let found = explanation.finding.map { ": \($0)" } ?? ""
            return "\(must)\(explanation.text)\(found)" + (because.map { " (\($0.text))" } ?? "")
        case .each(let parts): return parts.map(\.text).joined(separator: "\nand ")
        case .oneOf(let parts): return "one of [" + parts.map(\.text).joined(separator: "\nor ") + "]"
        }
    }
}

extension Explanation {
    /// Why the rule does not hold; nil if it does.
    package var whyNot: Lack? { lack(wanting: true) }

    /// What keeps it from being as it is wanted.
    private func lack(wanting wanted: Bool) -> Lack? {
        guard holds != wanted else { return nil }
        switch condition.string {
        case "all", "any", "rfm", "percentile", "permitted":
            let lacks = parts.compactMap { $0.lack(wanting: wanted) }
            guard lacks.count != 1 else { return lacks[0] }
            return (condition != "any") == wanted ? .each(lacks) : .oneOf(lacks)
        case "not": return parts.first?.lack(wanting: !wanted)
        default: return .condition(self, because: parts.first?.lack(wanting: wanted))
        }
    }
}
