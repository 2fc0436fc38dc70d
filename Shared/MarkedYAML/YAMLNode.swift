package import Models

/// A place in a text, both numbers counted from one.
package struct YAMLMark: Hashable, Sendable {
    package var line: Int
    package var column: Int

    package init(line: Int, column: Int) {
        self.line = line
        self.column = column
    }
}

/// Why a text is no YAML that is taken here: where, and what was expected there.
package struct YAMLMistake: Error, Hashable, Sendable {
    package var mark: YAMLMark
    package var expected: String
    package var found: String

    package init(at mark: YAMLMark, expected: String, found: String) {
        self.mark = mark
        self.expected = expected
        self.found = found
    }
}

/// What YAML says, JSON-shaped, with the place of every value and of every key, so that a mistake can be pointed at.
package struct YAMLNode: Hashable, Sendable {
    /// One `key: value` of an object, in the order of the text.
    package struct Member: Hashable, Sendable {
        package var key: String
        package var keyMark: YAMLMark
        package var value: YAMLNode

        package init(key: String, keyMark: YAMLMark, value: YAMLNode) {
            self.key = key
            self.keyMark = keyMark
            self.value = value
        }
    }

    package indirect enum Value: Hashable, Sendable {
        case null
        case bool(Bool)
        case integer(Int64)
        case double(Double)
        case string(String)
        case array([YAMLNode])
        case object([Member])
    }

    package var value: Value
    package var mark: YAMLMark

    package init(_ value: Value, at mark: YAMLMark) {
        self.value = value
        self.mark = mark
    }

    /// The same without places; of a repeated key the last one.
    package var json: JSON {
        switch value {
        case .null: .null
        case .bool(let value): .bool(value)
        case .integer(let value): .integer(value)
        case .double(let value): .double(value)
        case .string(let value): .string(value)
        case .array(let elements): .array(elements.map(\.json))
        case .object(let members):
            .object(Dictionary(members.map { ($0.key, $0.value.json) }, uniquingKeysWith: { $1 }))
        }
    }

    /// Where the value at a path such as `rules.2.properties.total` stands, or else the nearest value around it. Keys
    /// may have dots in them.
    package func mark(at path: String) -> YAMLMark { mark(at: path[...]) }

    private func mark(at path: Substring) -> YAMLMark {
        if path.isEmpty { return mark }
        switch value {
        case .array(let elements):
            let end = path.firstIndex(of: ".") ?? path.endIndex
            guard let index = Int(path[..<end]), elements.indices.contains(index) else { return mark }
            return elements[index].mark(at: path[end...].dropFirst())
        case .object(let members):
            let found = members.filter { path == $0.key || path.hasPrefix($0.key + ".") }
                .max { $0.key.utf8.count < $1.key.utf8.count }
            guard let found else { return mark }
            let rest = path.dropFirst(found.key.count + 1)
            return rest.isEmpty ? found.keyMark : found.value.mark(at: rest)
        default: return mark
        }
    }
}
