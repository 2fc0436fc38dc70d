package import Models

/// A place in the text of a definition, both numbers counted from one.
package struct SourceMark: Hashable, Sendable {
    package var line: Int
    package var column: Int

    package init(line: Int, column: Int) {
        self.line = line
        self.column = column
    }
}

/// A definition as it was written: JSON-shaped, with the place of every value and of every key, so that a
/// mistake can be pointed at. Whatever the text was (YAML or JSON), the domain reads this.
package struct DefinitionNode: Hashable, Sendable {
    /// One `key: value` of an object, in the order of the text.
    package struct Member: Hashable, Sendable {
        package var key: String
        package var keyMark: SourceMark
        package var value: DefinitionNode

        package init(key: String, keyMark: SourceMark, value: DefinitionNode) {
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
        case array([DefinitionNode])
        case object([Member])
    }

    package var value: Value
    package var mark: SourceMark

    package init(_ value: Value, at mark: SourceMark) {
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

    /// What stands here, in words short enough for an error message.
    package var found: String {
        switch value {
        case .null: "nothing"
        case .bool(let value): "\(value)"
        case .integer(let value): "the number \(value)"
        case .double(let value): "the number \(value)"
        case .string(let value): "“\(value.count > 60 ? String(value.prefix(60)) + "…" : value)”"
        case .array(let elements): "a list of \(elements.count)"
        case .object(let members):
            members.isEmpty
                ? "an empty object" : "an object with \(members.prefix(6).map(\.key).joined(separator: ", "))"
        }
    }
}

extension DefinitionNode {
    /// A node without a text behind it: for definitions that were stored as JSON.
    package init(_ json: JSON, at mark: SourceMark = SourceMark(line: 1, column: 1)) {
        self.mark = mark
        switch json {
        case .null: value = .null
        case .bool(let flag): value = .bool(flag)
        case .integer(let number): value = .integer(number)
        case .double(let number): value = .double(number)
        case .string(let text): value = .string(text)
        case .array(let elements): value = .array(elements.map { DefinitionNode($0, at: mark) })
        case .object(let members):
            value = .object(
                members.sorted { $0.key < $1.key }
                    .map { Member(key: $0.key, keyMark: mark, value: DefinitionNode($0.value, at: mark)) })
        }
    }
}
