package import Models

/// One thing wrong with a mapping: where it stands, what was expected there, and what was found.
package struct MappingMistake: Error, Hashable, Sendable {
    /// The way to the value from the top, as `rules.2.properties.total.as`; empty for the whole file.
    package var path: String
    package var expected: String
    package var found: String

    package init(path: String, expected: String, found: String) {
        self.path = path
        self.expected = expected
        self.found = found
    }

    package var json: JSON {
        ["path": .string(path), "expected": .string(expected), "found": .string(found)]
    }
}

extension MappingMistake: CustomStringConvertible {
    package var description: String {
        "\(path.isEmpty ? "the mapping" : path): expected \(expected), found \(found)"
    }
}

/// A mapping that means nothing, with every mistake in it.
package struct InvalidMapping: Error, Hashable, Sendable {
    package var mistakes: [MappingMistake]
}

/// Collects the mistakes while a mapping is read, so that its author sees all of them at once.
final class MappingLog {
    /// Enough to mend a file by; a hostile one does not get to fill memory with complaints.
    private static let limit = 50

    private(set) var mistakes: [MappingMistake] = []

    func report(_ path: String, expected: String, found: String) {
        guard mistakes.count < Self.limit else { return }
        mistakes.append(MappingMistake(path: path, expected: expected, found: found))
    }

    func report(_ value: JSON, _ path: String, expected: String) {
        report(path, expected: expected, found: value.found)
    }
}

extension JSON {
    /// What stands here, in words short enough for a message.
    fileprivate var found: String {
        switch self {
        case .null: "nothing"
        case .bool(let value): "\(value)"
        case .integer(let value): "the number \(value)"
        case .double(let value): "the number \(value)"
        case .string(let value): "“\(value.count > 60 ? String(value.prefix(60)) + "…" : value)”"
        case .array(let elements): "a list of \(elements.count)"
        case .object(let members):
            members.isEmpty
                ? "an empty object"
                : "an object with \(members.keys.sorted().prefix(6).joined(separator: ", "))"
        }
    }
}
