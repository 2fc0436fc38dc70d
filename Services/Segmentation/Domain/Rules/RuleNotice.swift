package import Models

/// Says of a condition that its exact answer would need more than any fixed number of events of one profile, and what is
/// kept instead.
package struct RuleNotice: Hashable, Sendable {
    /// Where the condition stands in the definition, in its JSON form.
    package let path: RulePath
    package let text: String

    package var json: JSON { ["path": .string(path.description), "text": .string(text)] }
}

extension Condition {
    /// What there is to know of its conditions before it is in force, in the order in which they are written.
    package func notices(at path: RulePath) -> [RuleNotice] {
        switch kind {
        case .leaf(let leaf):
            guard let text = leaf.keeps else { return [] }
            return [RuleNotice(path: path.appending(type(of: leaf).key), text: text)]
        case .group(let group):
            let path = path.appending(type(of: group).key)
            if let compared = group as? any EditionOperator {
                let texts =
                    compared.lacksEdition.map { [$0] }
                    ?? group.conditions.flatMap { $0.notices(at: path) }.map(\.text)
                return texts.map { RuleNotice(path: path, text: $0) }
            }
            guard !(group is Not) else { return group.conditions.flatMap { $0.notices(at: path) } }
            return group.conditions.enumerated().flatMap { index, part in
                part.notices(at: path.appending("\(index)"))
            }
        }
    }
}

extension Scoring {
    /// What there is to know of its kinds of events before it is in force.
    package func notices(at path: RulePath = RulePath()) -> [RuleNotice] {
        events.indices.compactMap { number in
            keeps(number).map { text in
                RuleNotice(path: path.appending("events").appending("\(number)"), text: text)
            }
        }
    }
}

extension LeafOperator {
    /// That of the events meant the latest so many are kept.
    func latest(_ count: Int = RuleLimits.occurrences, of events: String = "its events") -> String {
        "an exact answer needs all of \(events), however many; of each profile the latest \(count.grouped) are kept"
    }
}

extension Int {
    /// With a comma at each thousand.
    var grouped: String {
        var text = String(self)
        var place = text.count - 3
        while place > 0 {
            text.insert(",", at: text.index(text.startIndex, offsetBy: place))
            place -= 3
        }
        return text
    }
}
