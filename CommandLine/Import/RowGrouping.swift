/// The rows of one event-to-be.
struct RowGroup: Sendable {
    let key: String
    var rows: [Row] = []
    var refusals: [RowReader.Refusal] = []
}

/// Joins rows into groups; a group is whole at the last of its rows, which the survey knows.
struct RowGrouping {
    enum Item: Sendable {
        case group(RowGroup)
        /// A row that belongs to no group, because it could not be read that far.
        case refused(RowReader.Refusal)
    }

    private var reader: RowReader
    private let lastRow: [String: Int]
    private var open: [String: RowGroup] = [:]

    init(reader: RowReader, survey: FileSurvey) {
        self.reader = reader
        lastRow = survey.lastRow
    }

    var rowsRead: Int { reader.rowsRead }

    /// The next group in the order in which they end; nil at the end of the file.
    mutating func next() throws -> Item? {
        while let item = try reader.next() {
            let key: String
            switch item {
            case .row(let row, let rowKey):
                key = rowKey
                open[key, default: RowGroup(key: key)].rows.append(row)
            case .refused(let refusal, nil):
                return .refused(refusal)
            case .refused(let refusal, let rowKey?):
                key = rowKey
                open[key, default: RowGroup(key: key)].refusals.append(refusal)
            }
            // Also when the file grew after the survey: such a row comes alone, and is a group again.
            if reader.rowsRead >= lastRow[key] ?? 0, let group = open.removeValue(forKey: key) {
                return .group(group)
            }
        }
        return nil
    }
}
