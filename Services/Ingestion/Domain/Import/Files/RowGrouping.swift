import Models

/// The rows of one event-to-be.
struct RowGroup: Sendable {
    let key: String
    /// The place of its first row among the rows of the file, from 1, and the line it starts on.
    let firstRow: Int
    let line: Int
    var rows: [ImportRow] = []
    var refusals: [RowRefusal] = []
    /// Also of those that were too many to hold.
    var rowCount = 0
    var bytes = 0
    var isTooLarge = false

    init(key: String, firstRow: Int, line: Int) {
        (self.key, self.firstRow, self.line) = (key, firstRow, line)
    }

    mutating func add(_ row: ImportRow, limit: Int) {
        rowCount += 1
        guard rowCount <= limit, !isTooLarge else { return drop() }
        rows.append(row)
        bytes += row.bytes
    }

    mutating func add(_ refusal: RowRefusal) {
        rowCount += 1
        // The first are enough to mend the group by.
        if refusals.count < 100 { refusals.append(refusal) }
    }

    private mutating func drop() {
        isTooLarge = true
        rows = []
        bytes = 0
    }
}

/// Joins rows into groups; a group is whole at the last of its rows, which the survey knows.
struct RowGrouping: Sendable {
    enum Item: Sendable {
        case group(RowGroup)
        /// A row that belongs to no group, because it could not be read that far.
        case refused(RowRefusal, row: Int)
    }

    private var reader: RowReader
    private let survey: FileSurvey?
    private let limits: ImportLimits
    private var open: [String: RowGroup] = [:]
    private var openBytes = 0

    /// Without a survey every group is whole at once, as it is where rows are not grouped.
    init(reader: RowReader, survey: FileSurvey?, limits: ImportLimits) {
        self.reader = reader
        self.survey = survey
        self.limits = limits
    }

    mutating func append(_ bytes: [UInt8]) { reader.append(bytes) }
    mutating func finish() { reader.finish() }

    /// The next group in the order in which they end; nil where more bytes are needed, or the file has ended.
    mutating func next() throws(UnreadableFile) -> Item? {
        while let item = try reader.next() {
            switch item {
            case .row(let row, let key):
                let limit = limits.groupRows
                if let group = take(key, line: row.line, { $0.add(row, limit: limit) }) {
                    return .group(group)
                }
                guard openBytes <= limits.openBytes else {
                    throw UnreadableFile(
                        line: row.line,
                        message:
                            "the rows of too many groups lie far apart; sort the file by the column that groups"
                    )
                }
            case .refused(let refusal, nil): return .refused(refusal, row: reader.rowsRead)
            case .refused(let refusal, let key?):
                if let group = take(key, line: refusal.line, { $0.add(refusal) }) { return .group(group) }
            }
        }
        return nil
    }

    /// Adds something to a group, and returns the group where that makes it whole.
    private mutating func take(_ key: String, line: Int, _ add: (inout RowGroup) -> Void) -> RowGroup? {
        var group = open.removeValue(forKey: key) ?? RowGroup(key: key, firstRow: reader.rowsRead, line: line)
        openBytes -= group.bytes
        add(&group)
        // Also when the file grew after the survey: such a row comes alone, and is a group again.
        if reader.rowsRead >= survey?.lastRow(of: key) ?? 0 { return group }
        openBytes += group.bytes
        open[key] = group
        return nil
    }
}
