import Foundation
import Models

/// Reads mappings of files, reporting every mistake with its place and what was expected there.
struct ImportMappingReading {
    let log: MappingLog
    let columns: [ImportColumn]
    private let index: [String: Int]

    private init(columns: [ImportColumn], log: MappingLog) {
        self.columns = columns
        self.log = log
        index = Dictionary(columns.enumerated().map { ($1.name, $0) }, uniquingKeysWith: { $1 })
    }

    static func mapping(_ json: JSON, _ log: MappingLog) -> ImportMapping? {
        guard
            var reader = MappingReader(
                json, "", log, expected: "an object with `mapping`, `columns` and `events`")
        else { return nil }
        let name = name(&reader)
        let delimiter = delimiter(&reader)
        let reading = ImportMappingReading(columns: columns(&reader), log: log)
        var groupBy: Int?
        if let value = reader.optional("group-by") { groupBy = reading.column(value, "group-by") }
        let skips = reading.skips(&reader)
        let events = reading.events(&reader)
        var catalog: ImportMapping.CatalogRule?
        if let value = reader.optional("catalog") { catalog = reading.catalog(value, "catalog") }
        reader.finish()
        guard let name else { return nil }
        return ImportMapping(
            name: name, delimiter: delimiter, columns: reading.columns, groupBy: groupBy, skips: skips,
            events: events, catalog: catalog)
    }

    private static func name(_ reader: inout MappingReader) -> String? {
        let expected = "a name of lower-case letters, digits and hyphens"
        guard let name = reader.text("mapping", expected: expected) else { return nil }
        guard
            name.utf8.allSatisfy({ $0 == 45 || (48...57).contains($0) || (97...122).contains($0) }),
            name.utf8.count <= 60
        else {
            reader.log.report(.string(name), "mapping", expected: expected)
            return nil
        }
        return name
    }

    private static func delimiter(_ reader: inout MappingReader) -> UInt8 {
        let comma = UInt8(ascii: ",")
        guard let value = reader.optional("delimiter") else { return comma }
        guard let text = value.string, text.utf8.count == 1, let byte = text.utf8.first, byte != 0x22,
            (32..<127).contains(byte) || byte == 9
        else {
            reader.log.report(
                value, "delimiter", expected: "one ASCII character other than a quote, such as ; or \"\\t\"")
            return comma
        }
        return byte
    }

    // MARK: Columns

    private static let maxColumns = 1000
    private static let typeExpectation =
        "text, integer, decimal, or { type: time, format: …, zone: … }, or { type: time, format: rfc3339 }"

    private static func columns(_ reader: inout MappingReader) -> [ImportColumn] {
        let expected = "an object with each column of the header and its type"
        guard reader.required("columns", expected: expected) != nil else { return [] }
        let members = reader.optionalMembers("columns", expected: expected)
        guard (1...maxColumns).contains(members.count) else {
            reader.log.report("columns", expected: "1 to \(maxColumns) columns", found: "\(members.count)")
            return []
        }
        return members.map { name, value, path in
            ImportColumn(name: name, type: type(value, path, reader.log) ?? .text(nil, dropSuffix: nil))
        }
    }

    private static func type(_ value: JSON, _ path: String, _ log: MappingLog) -> ColumnType? {
        guard value.object != nil else {
            switch value.string {
            case "text": return .text(nil, dropSuffix: nil)
            case "integer": return .integer
            case "decimal": return .decimal
            default:
                log.report(value, path, expected: typeExpectation)
                return nil
            }
        }
        guard var reader = MappingReader(value, path, log, expected: typeExpectation) else { return nil }
        defer { reader.finish() }
        switch reader.text("type", expected: typeExpectation) {
        case "text":
            let letterCase = reader.optionalChoice("case", as: ColumnType.LetterCase.self)
            return .text(letterCase, dropSuffix: reader.optionalText("drop-suffix", expected: "a text"))
        case "integer": return .integer
        case "decimal": return .decimal
        case "time": return time(&reader)
        case .some(let other):
            log.report(.string(other), reader.path(to: "type"), expected: typeExpectation)
            return nil
        case nil: return nil
        }
    }

    private static func time(_ reader: inout MappingReader) -> ColumnType? {
        let expected = "rfc3339, or a format of y, M, d, H, m, s, S such as yyyy-MM-dd HH:mm:ss"
        guard let pattern = reader.text("format", expected: expected) else { return nil }
        if pattern == "rfc3339" { return .instant }
        let zoneExpected = "a time zone such as Europe/London"
        guard let zoneName = reader.text("zone", expected: zoneExpected) else { return nil }
        guard let zone = TimeZone(identifier: zoneName) else {
            reader.log.report(.string(zoneName), reader.path(to: "zone"), expected: zoneExpected)
            return nil
        }
        guard let format = LocalTime(pattern: pattern, zone: zone) else {
            reader.log.report(.string(pattern), reader.path(to: "format"), expected: expected)
            return nil
        }
        return .time(format)
    }

    // MARK: What names a column

    func column(_ value: JSON, _ path: String) -> Int? {
        if let name = value.string, let found = index[name] { return found }
        log.report(value, path, expected: columnNames)
        return nil
    }

    func numericColumn(_ value: JSON, _ path: String) -> Int? {
        guard let found = column(value, path) else { return nil }
        switch columns[found].type {
        case .integer, .decimal: return found
        case .text, .time, .instant:
            log.report(value, path, expected: "a column of type integer or decimal")
            return nil
        }
    }

    func timeColumn(_ value: JSON, _ path: String) -> Int? {
        guard let found = column(value, path) else { return nil }
        switch columns[found].type {
        case .time, .instant: return found
        case .text, .integer, .decimal:
            log.report(value, path, expected: "a column of type time")
            return nil
        }
    }

    /// A text with `{Column}` in it.
    func template(_ value: JSON, _ path: String) -> TextTemplate? {
        guard let text = value.string, !text.isEmpty, text.utf8.count <= 2000 else {
            log.report(value, path, expected: "a text such as order-{\(columns.first?.name ?? "Column")}")
            return nil
        }
        var parts: [TextTemplate.Part] = []
        var rest = text[...]
        while let open = rest.firstIndex(of: "{") {
            if open > rest.startIndex { parts.append(.literal(String(rest[..<open]))) }
            guard let close = rest[open...].firstIndex(of: "}") else {
                log.report(value, path, expected: "a } after every {")
                return nil
            }
            let name = String(rest[rest.index(after: open)..<close])
            guard let column = index[name] else {
                log.report(path, expected: columnNames, found: "the column “\(name.prefix(60))”")
                return nil
            }
            parts.append(.column(column))
            rest = rest[rest.index(after: close)...]
        }
        if !rest.isEmpty { parts.append(.literal(String(rest))) }
        return TextTemplate(parts: parts)
    }

    private var columnNames: String {
        "one of the columns " + columns.prefix(30).map(\.name).joined(separator: ", ")
    }
}
