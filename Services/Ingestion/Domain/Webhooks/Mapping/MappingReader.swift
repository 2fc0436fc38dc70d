import Models

/// Reads the members of one object of a mapping. Keys that were never asked for are mistakes, which `finish()` reports
/// together with the keys there are.
struct MappingReader {
    let value: JSON
    let path: String
    let log: MappingLog
    private let members: [String: JSON]
    private var asked: [String] = []

    /// Nil, and a mistake, when the value isn't an object.
    init?(_ value: JSON, _ path: String, _ log: MappingLog, expected: String) {
        guard case .object(let members) = value else {
            log.report(value, path, expected: expected)
            return nil
        }
        self.value = value
        self.members = members
        self.path = path
        self.log = log
    }

    static func join(_ path: String, _ key: String) -> String { path.isEmpty ? key : "\(path).\(key)" }

    func path(to key: String) -> String { Self.join(path, key) }

    /// The value of a key that may be missing. An explicit null counts as missing.
    mutating func optional(_ key: String) -> JSON? {
        if !asked.contains(key) { asked.append(key) }
        guard let value = members[key], !value.isNull else { return nil }
        return value
    }

    /// The value of a key that must be there.
    mutating func required(_ key: String, expected: String) -> JSON? {
        if let value = optional(key) { return value }
        log.report(path, expected: "`\(key)`: \(expected)", found: "no `\(key)`")
        return nil
    }

    /// A text that may be missing: not empty, and not longer than anything a person writes.
    mutating func optionalText(_ key: String, expected: String) -> String? {
        optional(key).flatMap { text($0, path(to: key), expected: expected) }
    }

    mutating func text(_ key: String, expected: String) -> String? {
        required(key, expected: expected).flatMap { text($0, path(to: key), expected: expected) }
    }

    /// One text, or a list of them.
    mutating func texts(_ key: String, expected: String) -> [String]? {
        guard let value = required(key, expected: expected) else { return nil }
        guard let elements = value.array else {
            return text(value, path(to: key), expected: expected).map { [$0] }
        }
        if elements.isEmpty { log.report(value, path(to: key), expected: expected) }
        return elements.enumerated().compactMap { text($1, "\(path(to: key)).\($0)", expected: expected) }
    }

    /// One of the raw values of an enum.
    mutating func optionalChoice<Choice: RawRepresentable & CaseIterable>(
        _ key: String, as type: Choice.Type
    ) -> Choice? where Choice.RawValue == String {
        guard let value = optional(key) else { return nil }
        if let choice = value.string.flatMap(Choice.init(rawValue:)) { return choice }
        log.report(
            value, path(to: key),
            expected: "one of " + Choice.allCases.map { "`\($0.rawValue)`" }.joined(separator: ", "))
        return nil
    }

    /// A duration as `90s` or `1h30m`, within bounds.
    mutating func optionalDuration(_ key: String, in bounds: ClosedRange<Duration>) -> Duration? {
        guard let value = optional(key) else { return nil }
        if let duration = value.string.flatMap(Duration.init(text:)), bounds.contains(duration) {
            return duration
        }
        log.report(
            value, path(to: key),
            expected: "a duration such as `5m`, from \(bounds.lowerBound.text) to \(bounds.upperBound.text)")
        return nil
    }

    /// The elements of a list that may be missing, with their paths.
    mutating func optionalList(_ key: String, expected: String) -> [(value: JSON, path: String)] {
        guard let value = optional(key) else { return [] }
        guard let elements = value.array else {
            log.report(value, path(to: key), expected: expected)
            return []
        }
        return elements.enumerated().map { ($1, "\(path(to: key)).\($0)") }
    }

    /// The members of an object that may be missing, by name, with their paths.
    mutating func optionalMembers(
        _ key: String, expected: String
    ) -> [(name: String, value: JSON, path: String)] {
        guard let value = optional(key) else { return [] }
        guard let members = value.object else {
            log.report(value, path(to: key), expected: expected)
            return []
        }
        return members.sorted { $0.key < $1.key }.map { ($0.key, $0.value, Self.join(path(to: key), $0.key)) }
    }

    /// Whether a key is there at all; it counts as asked for.
    mutating func has(_ key: String) -> Bool { optional(key) != nil }

    /// Reports every key that nobody asked for.
    func finish() {
        for key in members.keys.sorted() where !asked.contains(key) {
            log.report(
                path(to: key), expected: "one of \(asked.map { "`\($0)`" }.joined(separator: ", "))",
                found: "`\(key)`")
        }
    }

    private func text(_ value: JSON, _ path: String, expected: String) -> String? {
        guard let text = value.string, !text.isEmpty, text.utf8.count <= 500 else {
            log.report(value, path, expected: expected)
            return nil
        }
        return text
    }
}
