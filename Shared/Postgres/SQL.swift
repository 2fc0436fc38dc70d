/// A value that is bound to a statement.
enum SQLParameter: Sendable {
    /// Text whose type the server infers; nil is NULL.
    case text(String?)
    /// The binary form of a value of a type.
    case binary([UInt8], type: UInt32)

    /// The type's object id; 0 where the server is to infer it.
    var type: UInt32 {
        switch self {
        case .text: 0
        case .binary(_, let type): type
        }
    }
}

/// An SQL statement with its values: `"SELECT … WHERE id = \(id)"` binds `id` as a parameter; nothing that is
/// interpolated this way can change the statement's meaning.
package struct SQL: Sendable, ExpressibleByStringInterpolation {
    enum Part: Sendable {
        case text(String)
        case parameter(SQLParameter)
    }

    var parts: [Part]

    package init(stringLiteral value: String) {
        parts = [.text(value)]
    }

    package init(stringInterpolation: StringInterpolation) {
        parts = stringInterpolation.parts
    }

    /// SQL that is built from text which is known to be safe, such as a quoted identifier.
    package init(unsafe text: String) {
        parts = [.text(text)]
    }

    package static func + (left: SQL, right: SQL) -> SQL {
        var sum = left
        sum.parts += right.parts
        return sum
    }

    package static func += (left: inout SQL, right: SQL) {
        left.parts += right.parts
    }

    /// The pieces with `separator` between each two, as for `AND` or a list of columns.
    package static func joined(_ pieces: [SQL], separator: SQL) -> SQL {
        var sum = SQL(unsafe: "")
        for (index, piece) in pieces.enumerated() {
            if index > 0 { sum += separator }
            sum += piece
        }
        return sum
    }

    /// The text with `$1…$n` in it, and the values that stand for them.
    func rendered() -> (text: String, parameters: [SQLParameter]) {
        var text = ""
        var parameters: [SQLParameter] = []
        for part in parts {
            switch part {
            case .text(let piece): text += piece
            case .parameter(let value):
                parameters.append(value)
                text += "$\(parameters.count)"
            }
        }
        return (text, parameters)
    }

    package struct StringInterpolation: StringInterpolationProtocol, Sendable {
        var parts: [Part] = []

        package init(literalCapacity: Int, interpolationCount: Int) {
            parts.reserveCapacity(interpolationCount * 2 + 1)
        }

        package mutating func appendLiteral(_ literal: String) {
            if !literal.isEmpty { parts.append(.text(literal)) }
        }

        /// Binds a value.
        package mutating func appendInterpolation<Value: PostgresEncodable>(_ value: Value?) {
            bind(value)
        }

        /// Binds a value.
        package mutating func appendInterpolation(_ value: some PostgresEncodable) {
            bind(value)
        }

        private mutating func bind(_ value: some PostgresEncodable) {
            parts.append(.parameter(.text(value.postgresText)))
        }

        /// Binds an array in PostgreSQL's binary form, which is made and read several times faster than its text form:
        /// for what is written by the thousand. The parameter has the type of the elements; a cast converts it.
        package mutating func appendInterpolation<Element: PostgresBinaryElement>(binary elements: [Element])
        {
            parts.append(.parameter(BinaryArray.parameter(elements)))
        }

        /// Splices another statement with the values it binds.
        package mutating func appendInterpolation(_ sql: SQL) {
            parts += sql.parts
        }

        /// Splices text as it is: for what cannot be bound, and never for what a caller sent.
        package mutating func appendInterpolation(unsafe text: String) {
            parts.append(.text(text))
        }

        /// Splices a name (`schema.table` or `column`) in quotes.
        package mutating func appendInterpolation(identifier name: String) {
            parts.append(.text(SQL.quoted(identifier: name)))
        }
    }

    /// `schema.table` as `"schema"."table"`.
    package static func quoted(identifier name: String) -> String {
        name.split(separator: ".", omittingEmptySubsequences: false)
            .map { "\"" + $0.replacing("\"", with: "\"\"") + "\"" }
            .joined(separator: ".")
    }

    /// Text as an SQL literal, for the few statements that take no parameters (CREATE ROLE, …).
    package static func quoted(literal text: String) -> String {
        let escaped = text.replacing("\\", with: "\\\\").replacing("'", with: "''")
        return "E'" + escaped + "'"
    }
}
