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
    private static let mostTraits = 200
    private static let mostSources = 100

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
        let others = try fields.take("externalIds").map { entry throws(PolicyMistake) in
            try type(.otherSystems, entry)
        }
        for entry in try PolicyFields(list.node, path: "types", expected: "types by their names").all() {
            guard let kind = Identifier.Kind(rawValue: entry.key) else {
                throw entry.mistake("a name of 1 to 64 letters, digits and `_ . : -`")
            }
            types.append(try type(kind, entry))
        }
        let traits = try fields.take("traits").map(traits) ?? [:]
        try fields.finish(knowing: ["defaultRegion", "blocked", "types", "externalIds", "traits"])
        guard types.count <= mostTypes else { throw list.mistake("at most \(mostTypes) types") }
        guard types.contains(where: { $0.kind == .userID && $0.limit == 1 && $0.window == nil }) else {
            throw list.mistake("`userId` with `limit: 1`: two known people are never joined by less")
        }
        guard types.contains(where: { $0.kind == .anonymousID }) else { throw list.mistake("`anonymousId`") }
        if let first = types.min(by: { $0.priority < $1.priority }), first.kind != .userID {
            throw list.mistake("`userId` with the smallest priority")
        }
        return IdentityPolicy(
            types: types, others: others, blocked: blocked, defaultRegion: region, traits: traits)
    }

    /// The rules of traits in the file.
    private enum TraitRuleName: String, CaseIterable { case first, max, union, priority }

    private static func traits(_ list: PolicyValue) throws(PolicyMistake) -> [String: TraitPolicy] {
        let entries = try PolicyFields(list.node, path: list.path, expected: "rules by the names of traits")
            .all()
        guard entries.count <= mostTraits else { throw list.mistake("at most \(mostTraits) traits") }
        var traits: [String: TraitPolicy] = [:]
        for entry in entries {
            guard (1...Resolver.longestTraitName).contains(entry.key.utf8.count) else {
                throw entry.mistake("a trait's name of 1 to \(Resolver.longestTraitName) bytes")
            }
            var fields = try PolicyFields(entry.node, path: entry.path, expected: "a `rule`")
            guard let rule = fields.take("rule") else {
                throw fields.missing(
                    "rule", "one of " + TraitRuleName.allCases.map(\.rawValue).joined(separator: ", "))
            }
            let sources = fields.take("sources")
            switch try rule.choice(TraitRuleName.self) {
            case .first: traits[entry.key] = .first
            case .max: traits[entry.key] = .maximum
            case .union: traits[entry.key] = .union
            case .priority:
                guard let sources else { throw fields.missing("sources", "ids of sources, the best first") }
                traits[entry.key] = .priority(try Self.sources(sources))
                try fields.finish(knowing: ["rule", "sources"])
                continue
            }
            // Only a priority is one of sources.
            try fields.finish(knowing: ["rule"])
        }
        return traits
    }

    private static func sources(_ list: PolicyValue) throws(PolicyMistake) -> [SourceID] {
        var sources: [SourceID] = []
        for item in try list.list(most: mostSources) {
            guard case .string(let text) = item.node.value, let id = SourceID(text) else {
                throw item.mistake("the id of a source")
            }
            guard !sources.contains(id) else { throw item.mistake("each source once") }
            sources.append(id)
        }
        guard !sources.isEmpty else { throw list.mistake("at least one source") }
        return sources
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
