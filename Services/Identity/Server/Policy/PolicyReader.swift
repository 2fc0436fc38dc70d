import IdentityDomain
import MarkedYAML
import Models

/// A mistake in a policy: its place in the text, and what was expected there.
struct PolicyMistake: Error, Hashable {
    var line: Int
    var column: Int
    var path: String
    var expected: String
    var found: String

    var detail: String { "identity-policy.yaml:\(line):\(column): expected \(expected), found \(found)" }

    var json: JSON {
        [
            "line": .integer(Int64(line)), "column": .integer(Int64(column)), "path": .string(path),
            "expected": .string(expected), "found": .string(found),
        ]
    }
}

/// Reads a policy as people write it, in YAML or JSON. The first mistake ends the reading.
enum PolicyReader {
    static let maxBytes = 256 << 10
    private static let mostTypes = 200
    private static let mostBlocked = 10_000
    /// The name under which the file has the ids of other systems.
    private static let others = "*:*"

    static func read(_ bytes: [UInt8]) throws(PolicyMistake) -> IdentityPolicy {
        let root: YAMLNode
        do throws(YAMLMistake) {
            root = try YAMLReader.parse(bytes, what: "an identity policy", depth: 8)
        } catch {
            throw PolicyMistake(
                line: error.mark.line, column: error.mark.column, path: "", expected: error.expected,
                found: error.found)
        }
        var fields = try PolicyFields(root, path: "", expected: "an identity policy")
        var region: String?
        if let node = fields.take("defaultRegion") {
            region = try node.text("a country of ISO 3166-1 such as CH") { E164.knows(region: $0) }
        }
        let blocked = try fields.take("blocked").map(blocked) ?? BlockedValues()
        guard let list = fields.take("types") else {
            throw fields.missing("types", "the types of identifiers")
        }
        var types: [IdentifierPolicy] = []
        var other: IdentifierPolicy?
        for entry in try PolicyFields(list.node, path: "types", expected: "types by their names").all() {
            if entry.key == others {
                other = try type(.otherSystems, entry)
                continue
            }
            guard let kind = Identifier.Kind(rawValue: entry.key) else {
                throw entry.mistake("a name of 1 to 64 letters, digits and `_ . : -`")
            }
            types.append(try type(kind, entry))
        }
        try fields.finish(knowing: ["defaultRegion", "blocked", "types"])
        guard types.count <= mostTypes else { throw list.mistake("at most \(mostTypes) types") }
        guard types.contains(where: { $0.kind == .userID && $0.limit == 1 && $0.window == nil }) else {
            throw list.mistake("`userId` with `limit: 1`: two known people are never joined by less")
        }
        guard types.contains(where: { $0.kind == .anonymousID }) else { throw list.mistake("`anonymousId`") }
        if let first = types.min(by: { $0.priority < $1.priority }), first.kind != .userID {
            throw list.mistake("`userId` with the smallest priority")
        }
        return IdentityPolicy(types: types, others: other, blocked: blocked, defaultRegion: region)
    }

    private static func type(
        _ kind: Identifier.Kind, _ entry: PolicyValue
    ) throws(PolicyMistake) -> IdentifierPolicy {
        var fields = try PolicyFields(entry.node, path: entry.path, expected: "what holds for the type")
        guard let priority = fields.take("priority") else { throw fields.missing("priority", "a number") }
        var policy = IdentifierPolicy(kind: kind, priority: try priority.number(in: 1...1000), steps: [])
        if let node = fields.take("from") {
            for item in try node.list(most: 10) {
                let text = try item.text("userId, anonymousId, traits.… or context.…") {
                    IdentifierField($0) != nil
                }
                if let field = IdentifierField(text) { policy.fields.append(field) }
            }
        }
        if let node = fields.take("shape") { policy.shape = try node.choice(IdentifierPolicy.Shape.self) }
        if let node = fields.take("normalise") {
            policy.steps = []
            for item in try node.list(most: 10) {
                policy.steps.append(try item.choice(IdentifierPolicy.Step.self))
            }
        }
        if let node = fields.take("limit") { policy.limit = try node.number(in: 1...1_000_000) }
        if let node = fields.take("window") {
            let text = try node.text("a duration such as 90d, with a `limit`") {
                Duration(text: $0).map { $0 > .zero } ?? false
            }
            policy.window = Duration(text: text)
        }
        if let node = fields.take("maxBytes") { policy.maxBytes = try node.number(in: 1...1024) }
        if let node = fields.take("sharedBy") { policy.sharedBy = try node.number(in: 1...1_000_000) }
        if let node = fields.take("blocked") { policy.blocked = try blocked(node) }
        try fields.finish(
            knowing: [
                "priority", "from", "shape", "normalise", "limit", "window", "maxBytes", "sharedBy",
                "blocked",
            ])
        return policy
    }

    private static func blocked(_ value: PolicyValue) throws(PolicyMistake) -> BlockedValues {
        var fields = try PolicyFields(value.node, path: value.path, expected: "values, patterns or zeros")
        var values: [String] = []
        var patterns: [String] = []
        if let node = fields.take("values") {
            for item in try node.list(most: mostBlocked) {
                values.append(try item.text("a text of 1 to 512 bytes") { isShort($0) })
            }
        }
        if let node = fields.take("patterns") {
            for item in try node.list(most: 100) {
                patterns.append(
                    try item.text("a text of 1 to 512 bytes with more in it than `*`") {
                        isShort($0) && $0.contains { $0 != "*" }
                    })
            }
        }
        var zeros = false
        if let node = fields.take("zeros") { zeros = try node.bool() }
        try fields.finish(knowing: ["values", "patterns", "zeros"])
        return BlockedValues(values: values, patterns: patterns, zeros: zeros)
    }

    private static func isShort(_ text: String) -> Bool { (1...512).contains(text.utf8.count) }
}
