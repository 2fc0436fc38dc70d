import Models

/// Reads a mapped file row by row, out of bytes as they come.
struct RowReader: Sendable {
    enum Item: Sendable {
        case row(ImportRow, key: String)
        /// `key` is the group the row belongs to, where that much could be read.
        case refused(RowRefusal, key: String?)
    }

    /// Where the columns of the mapping are in a CSV file, which its header says.
    private struct Header: Sendable {
        let positions: [Int]
        let fieldCount: Int
    }

    private let mapping: ImportMapping
    private let format: ImportFormat
    private var csv: CSVReader
    private var ndjson: NDJSONReader
    private var isFinished = false
    private var header: Header?
    /// The last value of each column, and the bytes it was read from.
    private var last: [(bytes: [UInt8], value: ColumnValue)]
    private(set) var rowsRead = 0

    init(mapping: ImportMapping, format: ImportFormat, limits: ImportLimits) {
        self.mapping = mapping
        self.format = format
        csv = CSVReader(delimiter: mapping.delimiter, maxRecordBytes: limits.rowBytes)
        ndjson = NDJSONReader(maxLineBytes: limits.rowBytes)
        last = Array(repeating: ([], .null), count: mapping.columns.count)
    }

    mutating func append(_ bytes: [UInt8]) {
        switch format {
        case .csv: csv.append(bytes)
        case .ndjson: ndjson.append(bytes)
        }
    }

    mutating func finish() {
        isFinished = true
        csv.finish()
        ndjson.finish()
    }

    /// The next row; nil where more bytes are needed, or the file has ended.
    mutating func next() throws(UnreadableFile) -> Item? {
        guard format == .csv else { return ndjson.next().map { row($0) } }
        if header == nil {
            guard let record = try csv.next() else {
                guard isFinished else { return nil }
                throw UnreadableFile(line: 1, message: "the file is empty; expected a header")
            }
            header = try Self.header(record, mapping)
        }
        guard let record = try csv.next(), let header else { return nil }
        return row(record, header)
    }

    private static func header(
        _ record: CSVRecord, _ mapping: ImportMapping
    ) throws(UnreadableFile) -> Header {
        let names = record.texts.map(\.trimmedASCII)
        var positions: [Int] = []
        for column in mapping.columns {
            guard let position = names.firstIndex(of: column.name) else {
                throw UnreadableFile(
                    line: record.line,
                    message: "the header lacks the column \"\(column.name)\"; it has "
                        + names.prefix(50).joined(separator: ", ").prefix(2000))
            }
            positions.append(position)
        }
        return Header(positions: positions, fieldCount: record.count)
    }

    // MARK: CSV

    private mutating func row(_ record: CSVRecord, _ header: Header) -> Item {
        rowsRead += 1
        guard record.count == header.fieldCount else {
            return .refused(
                RowRefusal(
                    line: record.line,
                    reason: "\(record.count) fields; expected \(header.fieldCount) as in the header"),
                key: nil)
        }
        var values: [ColumnValue] = []
        values.reserveCapacity(header.positions.count)
        var refusal: RowRefusal?
        for (index, position) in header.positions.enumerated() {
            // Neighbouring rows mostly say the same: an order's number, its time, its customer.
            if record.field(position, equals: last[index].bytes) {
                values.append(last[index].value)
                continue
            }
            let column = mapping.columns[index]
            guard let text = record.text(position) else {
                refusal =
                    refusal
                    ?? RowRefusal(line: record.line, reason: "\(column.name) is not UTF-8, or holds a NUL")
                values.append(.null)
                continue
            }
            guard let value = column.type.value(text) else {
                refusal = refusal ?? Self.misfit(column, text, line: record.line)
                values.append(.null)
                continue
            }
            last[index] = (record.field(position), value)
            values.append(value)
        }
        return item(values, line: record.line, bytes: record.byteCount, refusal)
    }

    private static func misfit(_ column: ImportColumn, _ text: String, line: Int) -> RowRefusal {
        RowRefusal(
            line: line, reason: "\(column.name): expected \(column.type.expectation)", found: text)
    }

    private func item(_ values: [ColumnValue], line: Int, bytes: Int, _ refusal: RowRefusal?) -> Item {
        let key = mapping.groupBy.map { values[$0].text } ?? "row-\(rowsRead)"
        if let refusal { return .refused(refusal, key: key.isEmpty ? nil : key) }
        if key.isEmpty, let groupBy = mapping.groupBy {
            return .refused(
                RowRefusal(
                    line: line,
                    reason: "\(mapping.columns[groupBy].name) is empty; expected a value to group by"),
                key: nil)
        }
        return .row(ImportRow(line: line, values: values, bytes: bytes), key: key)
    }

    // MARK: NDJSON

    private mutating func row(_ line: NDJSONReader.Line) -> Item {
        rowsRead += 1
        func refused(_ reason: String) -> Item {
            .refused(RowRefusal(line: line.number, reason: reason), key: nil)
        }
        guard let bytes = line.bytes else { return refused("the line is too long to be read") }
        let members: [String: JSON]
        do {
            guard let object = try JSONParser.parse(bytes).object else {
                return refused("expected an object")
            }
            members = object
        } catch {
            return refused("not JSON: \(error.message) at byte \(error.offset)")
        }
        var values: [ColumnValue] = []
        values.reserveCapacity(mapping.columns.count)
        var refusal: RowRefusal?
        for column in mapping.columns {
            guard let text = (members[column.name] ?? .null).fieldText else {
                refusal =
                    refusal
                    ?? RowRefusal(line: line.number, reason: "\(column.name): expected a text or a number")
                values.append(.null)
                continue
            }
            let value = column.type.value(text)
            if value == nil { refusal = refusal ?? Self.misfit(column, text, line: line.number) }
            values.append(value ?? .null)
        }
        return item(values, line: line.number, bytes: bytes.count, refusal)
    }
}

extension JSON {
    /// The value as a field of a CSV file would write it; nil for an object or an array.
    fileprivate var fieldText: String? {
        switch self {
        case .null: ""
        case .bool(let value): "\(value)"
        case .integer(let value): "\(value)"
        case .double(let value): "\(value)"
        case .string(let value): value
        case .array, .object: nil
        }
    }
}
