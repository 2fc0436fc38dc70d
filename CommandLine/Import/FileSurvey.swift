import Models

/// What a first pass over the file finds out: where each group ends, so that the second pass can emit it
/// there however its rows are scattered, and what the catalog holds.
struct FileSurvey {
    private(set) var rows = 0
    /// The number of the last row of each group.
    private(set) var lastRow: [String: Int] = [:]
    /// The latest time of the file.
    private(set) var latest: Instant?
    private(set) var catalog: CatalogSurvey?

    init(mapping: Mapping, reader: RowReader) throws {
        var reader = reader
        let times = Set(mapping.events.map(\.timestamp))
        catalog = mapping.catalog.map { CatalogSurvey(rule: $0) }
        while let item = try reader.next() {
            rows += 1
            switch item {
            case .row(let row, let key):
                lastRow[key] = rows
                for column in times {
                    if case .time(let instant) = row.values[column] {
                        latest = max(latest ?? instant, instant)
                    }
                }
                catalog?.add(row)
            case .refused(_, let key):
                if let key { lastRow[key] = rows }
            }
        }
    }
}

/// Collects the items of the catalog while the rows pass.
struct CatalogSurvey {
    private let rule: Mapping.CatalogRule
    private var items: [String: [Choosing]] = [:]
    private var order: [String] = []

    /// The candidates for one member of one item.
    private enum Choosing {
        case first(ColumnValue)
        case latest(ColumnValue)
        case counted([ColumnValue: Int])
    }

    init(rule: Mapping.CatalogRule) { self.rule = rule }

    mutating func add(_ row: Row) {
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
    var json: [JSON] {
        order.map { key in
            var object: [String: JSON] = [:]
            for (member, choosing) in zip(rule.members, items[key] ?? []) {
                object[member.key] =
                    switch (member.value, choosing) {
                    case (.constant(let constant), _):
                        Expression.constant(constant).json([Row(line: 0, values: [])])
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
