import Foundation
import Yams

/// Reads mapping files, refusing every mistake with its file, its line and what was expected there.
struct MappingReader {
    private let columns: [Column]
    private let index: [String: Int]

    static func read(path: String) throws -> Mapping {
        guard let data = FileManager.default.contents(atPath: path) else {
            throw ImportProblem("cannot read \(path): expected a mapping file")
        }
        guard let text = String(validating: data, as: UTF8.self) else {
            throw FileProblem(file: path, line: 1, message: "not UTF-8; expected a YAML file")
        }
        return try read(text, file: path)
    }

    static func read(_ text: String, file: String) throws(FileProblem) -> Mapping {
        let root = try YAMLNode.document(text, file: file)
        let members = try root.object(
            required: ["mapping", "columns", "events"],
            optional: ["delimiter", "group-by", "skip", "catalog"],
            "a mapping with mapping, columns and events")
        guard let nameNode = members["mapping"], let columnsNode = members["columns"],
            let eventsNode = members["events"]
        else { throw root.expected("mapping, columns and events") }
        let name = try nameNode.text("a name")
        guard name.utf8.allSatisfy({ $0 == 45 || (48...57).contains($0) || (97...122).contains($0) }) else {
            throw nameNode.expected("lower-case letters, digits and hyphens")
        }
        var delimiter = UInt8(ascii: ",")
        if let node = members["delimiter"] {
            let text = try node.text("one ASCII character")
            guard text.utf8.count == 1, let byte = text.utf8.first, byte != 0x22, byte >= 32 || byte == 9
            else {
                throw node.expected("one ASCII character other than a quote, such as ; or \"\\t\"")
            }
            delimiter = byte
        }
        let reader = MappingReader(columns: try readColumns(columnsNode))
        return Mapping(
            name: name, delimiter: delimiter, columns: reader.columns,
            groupBy: try members["group-by"].map { node throws(FileProblem) in try reader.column(node) },
            skips: try members["skip"].map { node throws(FileProblem) in try reader.skips(node) } ?? [],
            events: try reader.events(eventsNode),
            catalog: try members["catalog"].map { node throws(FileProblem) in try reader.catalog(node) })
    }

    private init(columns: [Column]) {
        self.columns = columns
        index = Dictionary(
            columns.enumerated().map { ($1.name, $0) }, uniquingKeysWith: { first, _ in first })
    }

    // MARK: columns

    private static func readColumns(_ node: YAMLNode) throws(FileProblem) -> [Column] {
        var columns: [Column] = []
        for (name, type) in try node.members("a mapping from each column of the header to its type") {
            columns.append(Column(name: name, type: try readType(type)))
        }
        guard !columns.isEmpty else { throw node.expected("at least one column") }
        return columns
    }

    private static func readType(_ node: YAMLNode) throws(FileProblem) -> ColumnType {
        let choices = "text, integer, decimal, or { type: time, format: …, zone: … }"
        if case .scalar = node.node {
            switch try node.text(choices) {
            case "text": return .text(nil, dropSuffix: nil)
            case "integer": return .integer
            case "decimal": return .decimal
            default: throw node.expected(choices)
            }
        }
        let members = try node.object(
            required: ["type"], optional: ["case", "drop-suffix", "format", "zone"], choices)
        guard let type = members["type"] else { throw node.expected(choices) }
        switch try type.text(choices) {
        case "text":
            var letterCase: ColumnType.LetterCase?
            if let node = members["case"] {
                letterCase = ColumnType.LetterCase(rawValue: try node.text())
                if letterCase == nil { throw node.expected("upper or lower") }
            }
            let suffix = try members["drop-suffix"].map { node throws(FileProblem) in try node.text() }
            return .text(letterCase, dropSuffix: suffix)
        case "integer": return .integer
        case "decimal": return .decimal
        case "time":
            guard let formatNode = members["format"], let zoneNode = members["zone"] else {
                throw node.problem("\(node.name) lacks format or zone; expected both for a time")
            }
            guard let zone = TimeZone(identifier: try zoneNode.text("a time zone such as Europe/London"))
            else {
                throw zoneNode.expected("a time zone such as Europe/London")
            }
            guard let format = LocalTime(pattern: try formatNode.text("a format"), zone: zone) else {
                throw formatNode.expected("a format of y, M, d, H, m, s, S such as yyyy-MM-dd HH:mm:ss")
            }
            return .time(format)
        default: throw type.expected(choices)
        }
    }

    private func column(_ node: YAMLNode) throws(FileProblem) -> Int {
        guard let found = index[try node.text("the name of a column")] else {
            throw node.expected(columnNames)
        }
        return found
    }

    private var columnNames: String { "one of the columns \(columns.map(\.name).joined(separator: ", "))" }

    private func numericColumn(_ node: YAMLNode) throws(FileProblem) -> Int {
        let found = try column(node)
        switch columns[found].type {
        case .integer, .decimal: return found
        case .text, .time: throw node.expected("a column of type integer or decimal")
        }
    }

    // MARK: conditions

    private func skips(_ node: YAMLNode) throws(FileProblem) -> [Mapping.SkipRule] {
        var rules: [Mapping.SkipRule] = []
        for rule in try node.list("a list of { reason, when }") {
            let members = try rule.object(required: ["reason", "when"])
            guard let reason = members["reason"], let when = members["when"] else { continue }
            rules.append(Mapping.SkipRule(reason: try reason.text("why"), when: try conditions(when)))
        }
        return rules
    }

    private func conditions(_ node: YAMLNode) throws(FileProblem) -> [Condition] {
        var conditions: [Condition] = []
        for element in try node.list("a list of conditions such as { column: Quantity, less-than: 0 }") {
            let members = try element.object(
                required: ["column"], optional: ["empty", "is", "like", "less-than", "more-than", "not"])
            guard let columnNode = members["column"] else { continue }
            let column = try column(columnNode)
            let tests = members.filter { $0.key != "column" }
            guard tests.count == 1, let (key, value) = tests.first else {
                throw element.expected("exactly one of empty, is, like, less-than, more-than, not")
            }
            conditions.append(Condition(column: column, test: try test(key, value, column)))
        }
        return conditions
    }

    private func test(_ key: String, _ value: YAMLNode, _ column: Int) throws(FileProblem) -> Condition.Test {
        switch key {
        case "empty": return .empty(try value.bool())
        case "like": return .like(try value.texts())
        case "is":
            switch columns[column].type {
            case .integer, .decimal: return .equals(try number(value))
            case .text, .time: return .oneOf(Set(try value.texts()))
            }
        case "less-than": return .lessThan(try number(value))
        case "more-than": return .moreThan(try number(value))
        default:
            let members = try value.object(optional: ["empty", "is", "like", "less-than", "more-than"])
            guard members.count == 1, let (inner, node) = members.first else {
                throw value.expected("exactly one of empty, is, like, less-than, more-than")
            }
            return .not(try test(inner, node, column))
        }
    }

    private func number(_ node: YAMLNode) throws(FileProblem) -> ExactDecimal {
        guard let number = ExactDecimal(try node.text("a number")) else { throw node.expected("a number") }
        return number
    }

    // MARK: events

    private func events(_ node: YAMLNode) throws(FileProblem) -> [Mapping.EventRule] {
        var rules: [Mapping.EventRule] = []
        for rule in try node.list("a list of events") {
            let read = try event(rule)
            if rules.contains(where: { $0.id == read.id }) {
                throw rule.problem("the id \"\(read.id)\" is given twice; expected a different one")
            }
            rules.append(read)
        }
        guard !rules.isEmpty else { throw node.expected("at least one event") }
        return rules
    }

    private func event(_ node: YAMLNode) throws(FileProblem) -> Mapping.EventRule {
        let members = try node.object(
            required: ["id", "type", "timestamp"],
            optional: ["when", "event", "user-id", "anonymous-id", "properties", "traits"])
        guard let id = members["id"], let typeNode = members["type"], let time = members["timestamp"] else {
            throw node.expected("id, type and timestamp")
        }
        let type = try typeNode.text("track or identify")
        let body: YAMLNode?
        switch type {
        case "track":
            guard members["event"] != nil else {
                throw node.problem("\(node.name) lacks \"event\", the track's name")
            }
            if let traits = members["traits"] {
                throw traits.problem("a track has properties; traits are an identify's")
            }
            body = members["properties"]
        case "identify":
            if let extra = members["properties"] ?? members["event"] {
                throw extra.problem("an identify has traits; event and properties are a track's")
            }
            body = members["traits"]
        default: throw typeNode.expected("track or identify")
        }
        guard members["user-id"] != nil || members["anonymous-id"] != nil else {
            throw node.problem("\(node.name) names nobody; expected user-id, anonymous-id or both")
        }
        let timestamp = try column(time)
        guard case .time = columns[timestamp].type else { throw time.expected("a column of type time") }
        return Mapping.EventRule(
            id: try id.text("an id"),
            when: try members["when"].map { node throws(FileProblem) in try conditions(node) } ?? [],
            type: type,
            event: try members["event"].map { node throws(FileProblem) in try node.text("the event's name") },
            userID: try members["user-id"].map { node throws(FileProblem) in try template(node) },
            anonymousID: try members["anonymous-id"].map { node throws(FileProblem) in try template(node) },
            timestamp: timestamp,
            body: try body.map { node throws(FileProblem) in try object(node) } ?? [])
    }

    private func object(_ node: YAMLNode) throws(FileProblem) -> [(key: String, value: Expression)] {
        var result: [(key: String, value: Expression)] = []
        for (key, value) in try node.members() { result.append((key, try expression(value))) }
        return result
    }

    private func expression(_ node: YAMLNode) throws(FileProblem) -> Expression {
        switch node.node {
        case .scalar(let scalar):
            if scalar.string.contains("{") { return .template(try template(node)) }
            return .constant(try constant(node))
        case .mapping:
            let members = try node.members()
            let keys = Set(members.map(\.key))
            if keys.contains("column") {
                let object = try node.object(required: ["column"], optional: ["negate"])
                guard let columnNode = object["column"] else { throw node.expected("a column") }
                let negate = try object["negate"]?.bool() ?? false
                return .column(
                    negate ? try numericColumn(columnNode) : try column(columnNode), negate: negate)
            }
            if keys.contains("sum-of") {
                let object = try node.object(required: ["sum-of"], optional: ["negate"])
                var factors: [Int] = []
                for factor in try object["sum-of"]?.list("a list of columns") ?? [] {
                    factors.append(try numericColumn(factor))
                }
                guard (1...2).contains(factors.count) else {
                    throw node.expected("one or two columns to multiply")
                }
                return .sum(factors, negate: try object["negate"]?.bool() ?? false)
            }
            if keys == ["rows"], let rows = members.first?.value { return .rows(try object(rows)) }
            return .object(try object(node))
        case .sequence, .alias:
            throw node.expected("a text, a number, { column: … }, { sum-of: … } or { rows: … }")
        }
    }

    private func constant(_ node: YAMLNode) throws(FileProblem) -> JSONScalar {
        guard case .scalar(let scalar) = node.node else { throw node.expected("a constant") }
        guard scalar.style == .plain else { return .text(scalar.string) }
        if scalar.string == "true" || scalar.string == "false" { return .bool(scalar.string == "true") }
        if let integer = Int64(scalar.string) { return .integer(integer) }
        return .text(try node.text("a constant"))
    }

    private func template(_ node: YAMLNode) throws(FileProblem) -> TextTemplate {
        var parts: [TextTemplate.Part] = []
        var rest = try node.text("a text such as order-{\(columns.first?.name ?? "Column")}")[...]
        while let open = rest.firstIndex(of: "{") {
            if open > rest.startIndex { parts.append(.literal(String(rest[..<open]))) }
            guard let close = rest[open...].firstIndex(of: "}") else {
                throw node.expected("a } after every {")
            }
            let name = String(rest[rest.index(after: open)..<close])
            guard let column = index[name] else {
                throw node.problem("\(node.name) names the column \"\(name)\"; expected \(columnNames)")
            }
            parts.append(.column(column))
            rest = rest[rest.index(after: close)...]
        }
        if !rest.isEmpty { parts.append(.literal(String(rest))) }
        return TextTemplate(parts: parts)
    }

    // MARK: catalog

    private func catalog(_ node: YAMLNode) throws(FileProblem) -> Mapping.CatalogRule {
        let members = try node.object(required: ["key", "item"], optional: ["when"])
        guard let key = members["key"], let item = members["item"] else {
            throw node.expected("key and item")
        }
        var result: [(key: String, value: Mapping.CatalogRule.Member)] = []
        for (name, value) in try item.members() { result.append((name, try catalogMember(value))) }
        return Mapping.CatalogRule(
            when: try members["when"].map { node throws(FileProblem) in try conditions(node) } ?? [],
            key: try column(key), members: result)
    }

    private func catalogMember(_ node: YAMLNode) throws(FileProblem) -> Mapping.CatalogRule.Member {
        guard case .mapping = node.node else { return .constant(try constant(node)) }
        let members = try node.object(required: ["column"], optional: ["choose"])
        guard let columnNode = members["column"] else { throw node.expected("a column") }
        var choice = Mapping.CatalogRule.Choice.latest
        if let node = members["choose"] {
            guard let read = Mapping.CatalogRule.Choice(rawValue: try node.text()) else {
                throw node.expected("latest, first or most-frequent")
            }
            choice = read
        }
        return .column(try column(columnNode), choose: choice)
    }
}
