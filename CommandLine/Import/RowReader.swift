/// Reads a mapped file row by row.
struct RowReader {
    /// A row that could not be read, and why.
    struct Refusal: Sendable, Equatable {
        let line: Int
        let reason: String
    }

    enum Item: Sendable {
        case row(Row, key: String)
        /// `key` is the group the row belongs to, where that much could be read.
        case refused(Refusal, key: String?)
    }

    private let mapping: Mapping
    private var reader: CSVReader
    /// Where each column of the mapping is in the file.
    private let positions: [Int]
    private let fieldCount: Int
    /// The last value of each column, and the bytes it was read from.
    private var last: [(bytes: [UInt8], value: ColumnValue)]
    private(set) var rowsRead = 0

    /// Reads the header and compares it with the mapping.
    init(mapping: Mapping, file: String, source: @escaping () throws -> [UInt8]?) throws {
        self.mapping = mapping
        reader = CSVReader(delimiter: mapping.delimiter, source: source)
        guard let header = try reader.next() else {
            throw FileProblem(file: file, line: 1, message: "the file is empty; expected a header")
        }
        let names = header.texts.map(\.trimmed)
        var positions: [Int] = []
        for column in mapping.columns {
            guard let position = names.firstIndex(of: column.name) else {
                throw FileProblem(
                    file: file, line: header.line,
                    message:
                        "the header lacks the column \"\(column.name)\"; it has \(names.joined(separator: ", "))"
                )
            }
            positions.append(position)
        }
        self.positions = positions
        fieldCount = header.count
        last = Array(repeating: ([], .null), count: positions.count)
    }

    /// The next row; nil at the end of the file.
    mutating func next() throws -> Item? {
        guard let record = try reader.next() else { return nil }
        rowsRead += 1
        guard record.count == fieldCount else {
            return .refused(
                Refusal(
                    line: record.line,
                    reason: "\(record.count) fields; expected \(fieldCount) as in the header"),
                key: nil)
        }
        var values: [ColumnValue] = []
        values.reserveCapacity(positions.count)
        var reason: String?
        for index in positions.indices {
            // Neighbouring rows mostly say the same: an order's number, its time, its customer.
            if record.field(positions[index], equals: last[index].bytes) {
                values.append(last[index].value)
                continue
            }
            let column = mapping.columns[index]
            guard let text = record.text(positions[index]) else {
                reason = reason ?? "\(column.name) is not UTF-8, or holds a NUL"
                values.append(.null)
                continue
            }
            guard let value = column.type.value(text) else {
                reason =
                    reason
                    ?? "\(column.name) is \"\(text.prefix(60))\"; expected \(column.type.expectation)"
                values.append(.null)
                continue
            }
            last[index] = (record.field(positions[index]), value)
            values.append(value)
        }
        let row = Row(line: record.line, values: values)
        let key = mapping.groupBy.map { values[$0].text } ?? "row-\(rowsRead)"
        if let reason {
            return .refused(Refusal(line: record.line, reason: reason), key: key.isEmpty ? nil : key)
        }
        if key.isEmpty, let groupBy = mapping.groupBy {
            return .refused(
                Refusal(
                    line: record.line,
                    reason: "\(mapping.columns[groupBy].name) is empty; expected a value to group by"),
                key: nil)
        }
        return .row(row, key: key)
    }
}
