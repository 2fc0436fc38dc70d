package import Models

/// Collects the items of the catalog while the rows pass.
package struct CatalogSurvey: Sendable {
    private let rule: ImportMapping.CatalogRule
    private var items: [String: [Choosing]] = [:]
    private var order: [String] = []

    /// The candidates for one member of one item.
    private enum Choosing {
        case first(ColumnValue)
        case latest(ColumnValue)
        case counted([ColumnValue: Int])
    }

    init(rule: ImportMapping.CatalogRule) { self.rule = rule }

    mutating func add(_ row: ImportRow) {
        let key = row.values[rule.key].text
        guard !key.isEmpty, rule.when.hold([row]) else { return }
        var choosing = items.removeValue(forKey: key)
        if choosing == nil {
            order.append(key)
            choosing = rule.members.map { member in
                switch member.value {
                case .constant: .first(.null)
                case .column(_, .first): .first(.null)
                case .column(_, .latest): .latest(.null)
                case .column(_, .mostFrequent): .counted([:])
                }
            }
        }
        var candidates = choosing ?? []
        for (index, member) in rule.members.enumerated() {
            guard case .column(let column, _) = member.value, row.values[column] != .null else { continue }
            let value = row.values[column]
            switch candidates[index] {
            case .first(.null): candidates[index] = .first(value)
            case .first: break
            case .latest: candidates[index] = .latest(value)
            case .counted(var counts):
                candidates[index] = .first(.null)
                counts[value, default: 0] += 1
                candidates[index] = .counted(counts)
            }
        }
        items[key] = candidates
    }

    /// The items in the order in which their keys first appear.
    package var json: [JSON] {
        order.map { key in
            var object: [String: JSON] = [:]
            for (member, choosing) in zip(rule.members, items[key] ?? []) {
                object[member.key] =
                    switch (member.value, choosing) {
                    case (.constant(let constant), _): constant
                    case (_, .first(let value)), (_, .latest(let value)): value.json
                    case (_, .counted(let counts)):
                        // Ties go to the text that sorts first, so that the choice is always the same.
                        (counts.max { ($0.value, $1.key.text) < ($1.value, $0.key.text) }?.key ?? .null).json
                    }
            }
            return .object(object)
        }
    }
}
