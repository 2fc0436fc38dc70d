import Models

/// Reads the members of one object of a definition. Keys that were never asked for are mistakes, reported by
/// `finish()` together with the ones that exist.
package struct ObjectReader {
    package let node: DefinitionNode
    package let path: String
    package let log: MistakeLog
    private var members: [String: DefinitionNode] = [:]
    private var keyMarks: [(key: String, mark: SourceMark)] = []
    private var asked: [String] = []

    /// Nil, and a mistake, when the node isn't an object.
    package init?(_ node: DefinitionNode, _ path: String, _ log: MistakeLog, expected: String) {
        guard case .object(let found) = node.value else {
            log.report(node, path, expected: expected)
            return nil
        }
        self.node = node
        self.path = path
        self.log = log
        for member in found {
            if members.updateValue(member.value, forKey: member.key) != nil {
                log.report(
                    at: member.keyMark, Self.join(path, member.key), expected: "each key once",
                    found: "`\(member.key)` again")
            } else {
                keyMarks.append((member.key, member.keyMark))
            }
        }
    }

    package static func join(_ path: String, _ key: String) -> String {
        path.isEmpty ? key : "\(path).\(key)"
    }

    package func path(to key: String) -> String { Self.join(path, key) }

    /// The value of a key that may be missing. An explicit null counts as missing.
    package mutating func optional(_ key: String) -> DefinitionNode? {
        asked.append(key)
        guard let value = members[key], value.value != .null else { return nil }
        return value
    }

    /// The value of a key that must be there.
    package mutating func required(_ key: String, expected: String) -> DefinitionNode? {
        if let value = optional(key) { return value }
        log.report(node, path, expected: "`\(key)`: \(expected)", found: "no `\(key)`")
        return nil
    }

    package mutating func optionalString(_ key: String, expected: String) -> String? {
        optional(key).flatMap { text($0, key, expected: expected) }
    }

    package mutating func string(_ key: String, expected: String) -> String? {
        required(key, expected: expected).flatMap { text($0, key, expected: expected) }
    }

    /// A duration as `90s`, `1h30m` or `14d`, within bounds.
    package mutating func optionalDuration(_ key: String, in bounds: ClosedRange<Duration>) -> Duration? {
        optional(key).flatMap { duration($0, key, in: bounds) }
    }

    package mutating func duration(_ key: String, in bounds: ClosedRange<Duration>) -> Duration? {
        required(key, expected: Self.durationExpectation(bounds)).flatMap { duration($0, key, in: bounds) }
    }

    /// The elements of a list, with their paths.
    package mutating func optionalList(_ key: String, expected: String) -> [(DefinitionNode, String)]? {
        guard let node = optional(key) else { return nil }
        guard case .array(let elements) = node.value else {
            log.report(node, path(to: key), expected: expected)
            return nil
        }
        return elements.enumerated().map { ($1, "\(path(to: key)).\($0)") }
    }

    /// Reports every key that nobody asked for.
    package func finish() {
        for (key, mark) in keyMarks where !asked.contains(key) {
            log.report(
                at: mark, path(to: key),
                expected: "one of \(asked.map { "`\($0)`" }.joined(separator: ", "))",
                found: "`\(key)`")
        }
    }

    private func text(_ node: DefinitionNode, _ key: String, expected: String) -> String? {
        guard case .string(let text) = node.value, !text.isEmpty, text.utf8.count <= 500 else {
            log.report(node, path(to: key), expected: expected)
            return nil
        }
        return text
    }

    private func duration(_ node: DefinitionNode, _ key: String, in bounds: ClosedRange<Duration>)
        -> Duration?
    {
        guard case .string(let text) = node.value, let duration = Duration(text: text),
            bounds.contains(duration)
        else {
            log.report(node, path(to: key), expected: Self.durationExpectation(bounds))
            return nil
        }
        return duration
    }

    private static func durationExpectation(_ bounds: ClosedRange<Duration>) -> String {
        "a duration such as `90m` or `1d12h`, from \(bounds.lowerBound.text) to \(bounds.upperBound.text)"
    }
}
