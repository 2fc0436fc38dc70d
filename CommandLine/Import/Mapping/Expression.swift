import Models

/// What a property of an event is made of.
indirect enum Expression: Sendable {
    case constant(JSONScalar)
    /// Text with `{Column}` in it; null when one of the columns is.
    case template(TextTemplate)
    /// The value of a column in the row, or in the group's first row.
    case column(Int, negate: Bool)
    /// The exact sum over the rows of the product of columns.
    case sum([Int], negate: Bool)
    /// One object per row.
    case rows([(key: String, value: Expression)])
    case object([(key: String, value: Expression)])

    /// The value for a group of rows, the first of which answers for what they share.
    func json(_ rows: ArraySlice<Row>) -> JSON {
        guard let first = rows.first else { return .null }
        switch self {
        case .constant(.text(let text)): return .string(text)
        case .constant(.integer(let value)): return .integer(value)
        case .constant(.bool(let value)): return .bool(value)
        case .template(let template): return template.text(first).map { .string($0) } ?? .null
        case .column(let column, let negate):
            switch first.values[column] {
            case .integer(let value) where negate: return .integer(-value)
            case .decimal(let value) where negate: return .string((-value).text)
            case let value: return value.json
            }
        case .sum(let columns, let negate):
            var sum = ExactDecimal.zero
            for row in rows {
                var product = ExactDecimal(1)
                for column in columns { product = product * (row.values[column].number ?? .zero) }
                sum = sum + product
            }
            return .string((negate ? -sum : sum).text)
        case .rows(let members):
            return .array(
                rows.indices.map { Expression.object(members).json(rows[$0...$0]) })
        case .object(let members):
            var object: [String: JSON] = [:]
            for (key, value) in members {
                let json = value.json(rows)
                if !json.isNull { object[key] = json }
            }
            return .object(object)
        }
    }
}

/// A text with `{Column}` in it.
struct TextTemplate: Sendable {
    enum Part: Sendable {
        case literal(String)
        case column(Int)
    }

    let parts: [Part]

    var columns: [Int] {
        parts.compactMap { if case .column(let column) = $0 { column } else { nil } }
    }

    /// The text for a row; nil when a column in it is empty.
    func text(_ row: Row) -> String? {
        var result = ""
        for part in parts {
            switch part {
            case .literal(let text): result += text
            case .column(let column):
                guard row.values[column] != .null else { return nil }
                result += row.values[column].text
            }
        }
        return result
    }
}
