package import Models

/// One thing wrong with a definition: where, and what was expected there.
package struct DefinitionMistake: Error, Hashable, Sendable {
    package var mark: SourceMark
    /// The way to the value from the top, as `steps.2.send.template`.
    package var path: String
    package var expected: String
    package var found: String

    package init(at mark: SourceMark, path: String, expected: String, found: String) {
        self.mark = mark
        self.path = path
        self.expected = expected
        self.found = found
    }

    package var json: JSON {
        .object([
            "line": .integer(Int64(mark.line)), "column": .integer(Int64(mark.column)), "path": .string(path),
            "expected": .string(expected), "found": .string(found),
        ])
    }

    /// `abandoned-cart.yaml:12:9: expected …, found …`
    package func described(in file: String) -> String {
        "\(file):\(mark.line):\(mark.column): expected \(expected), found \(found)"
    }
}

/// Collects the mistakes of one definition while it is read, so that the author sees all of them at once.
package final class MistakeLog {
    /// Enough to mend a file by; a hostile one does not get to fill memory with complaints.
    private static let limit = 50

    package private(set) var mistakes: [DefinitionMistake] = []

    package init() {}

    package func report(_ node: DefinitionNode, _ path: String, expected: String, found: String? = nil) {
        report(at: node.mark, path, expected: expected, found: found ?? node.found)
    }

    package func report(at mark: SourceMark, _ path: String, expected: String, found: String) {
        guard mistakes.count < Self.limit else { return }
        mistakes.append(DefinitionMistake(at: mark, path: path, expected: expected, found: found))
    }
}
