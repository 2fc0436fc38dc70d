package import Models

/// What a property of an event is made of.
package indirect enum RowExpression: Sendable {
    /// A text, a whole number, true or false.
    case constant(JSON)
    /// Text with `{Column}` in it; null when one of the columns is.
    case template(TextTemplate)
    /// The value of a column in the row, or in the group's first row.
    case column(Int, negate: Bool)
    /// The exact sum over the rows of the product of columns.
    case sum([Int], negate: Bool)
    /// One object per row.
    case rows([Member])
    case object([Member])

    package struct Member: Sendable {
        package let key: String
        package let value: RowExpression
    }

    /// The value for a group of rows, the first of which answers for what they share.
    package func json(_ rows: ArraySlice<ImportRow>) -> JSON {
        guard let first = rows.first else { return .null }
        switch self {
        case .constant(let value): return value
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
            return .array(rows.indices.map { RowExpression.object(members).json(rows[$0...$0]) })
        case .object(let members):
            var object: [String: JSON] = [:]
            for member in members {
                let json = member.value.json(rows)
                if !json.isNull { object[member.key] = json }
            }
            return .object(object)
        }
    }
}

/// A text with `{Column}` in it.
package struct TextTemplate: Sendable {
    package enum Part: Sendable {
        case literal(String)
        case column(Int)
    }

    package let parts: [Part]

    package var columns: [Int] {
        parts.compactMap { if case .column(let column) = $0 { column } else { nil } }
    }

    /// The text for a row; nil when a column in it is empty.
    package func text(_ row: ImportRow) -> String? {
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
