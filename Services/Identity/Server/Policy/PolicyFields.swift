import IdentityDomain
import MarkedYAML
import Models

/// One value of a policy with its place.
struct PolicyValue {
    var key: String
    var path: String
    var mark: YAMLMark
    var node: YAMLNode

    func mistake(_ expected: String) -> PolicyMistake {
        PolicyMistake(
            line: mark.line, column: mark.column, path: path, expected: expected,
            found: Self.words(node.value))
    }

    /// A text that passes; numbers are none, because YAML reads 007 as 7.
    func text(_ expected: String, _ passes: (String) -> Bool) throws(PolicyMistake) -> String {
        guard case .string(let text) = node.value, passes(text) else { throw mistake(expected) }
        return text
    }

    func number(in range: ClosedRange<Int>) throws(PolicyMistake) -> Int {
        guard case .integer(let number) = node.value, let value = Int(exactly: number), range.contains(value)
        else {
            throw mistake("a whole number from \(range.lowerBound) to \(range.upperBound)")
        }
        return value
    }

    func bool() throws(PolicyMistake) -> Bool {
        guard case .bool(let value) = node.value else { throw mistake("true or false") }
        return value
    }

    func choice<Choice: RawRepresentable & CaseIterable>(_: Choice.Type) throws(PolicyMistake) -> Choice
    where Choice.RawValue == String {
        guard case .string(let text) = node.value, let choice = Choice(rawValue: text) else {
            throw mistake("one of " + Choice.allCases.map(\.rawValue).joined(separator: ", "))
        }
        return choice
    }

    func list(most: Int) throws(PolicyMistake) -> [PolicyValue] {
        guard case .array(let nodes) = node.value, nodes.count <= most else {
            throw mistake("a list of at most \(most)")
        }
        return nodes.enumerated().map {
            PolicyValue(key: String($0), path: "\(path).\($0)", mark: $1.mark, node: $1)
        }
    }

    private static func words(_ value: YAMLNode.Value) -> String {
        switch value {
        case .null: "nothing"
        case .bool(let value): "\(value)"
        case .integer(let value): "\(value)"
        case .double(let value): "\(value)"
        case .string(let text): "`\(text.prefix(40))`"
        case .array(let elements): "a list of \(elements.count)"
        case .object: "an object"
        }
    }
}

/// The members of one object of a policy.
struct PolicyFields {
    private let value: PolicyValue
    private let members: [PolicyValue]

    init(_ node: YAMLNode, path: String, expected: String) throws(PolicyMistake) {
        value = PolicyValue(key: "", path: path, mark: node.mark, node: node)
        guard case .object(let found) = node.value else { throw value.mistake(expected) }
        var members: [PolicyValue] = []
        for member in found {
            let own = PolicyValue(
                key: member.key, path: path.isEmpty ? member.key : "\(path).\(member.key)",
                mark: member.keyMark,
                node: member.value)
            if members.contains(where: { $0.key == own.key }) {
                var again = own.mistake("each key once")
                again.found = "`\(own.key)` again"
                throw again
            }
            members.append(own)
        }
        self.members = members
    }

    func all() -> [PolicyValue] { members }

    /// The value of a key, with the place of the value; nil where it is missing or null.
    mutating func take(_ key: String) -> PolicyValue? {
        guard var member = members.first(where: { $0.key == key }), member.node.value != .null else {
            return nil
        }
        member.mark = member.node.mark
        return member
    }

    func missing(_ key: String, _ what: String) -> PolicyMistake {
        var mistake = value.mistake("`\(key)`: \(what)")
        mistake.found = "no `\(key)`"
        return mistake
    }

    /// Refuses keys that nobody knows.
    func finish(knowing known: [String]) throws(PolicyMistake) {
        guard let stranger = members.first(where: { !known.contains($0.key) }) else { return }
        var mistake = stranger.mistake("one of " + known.joined(separator: ", "))
        mistake.found = "`\(stranger.key)`"
        throw mistake
    }
}
