package import Models

/// A schema in a subset of JSON Schema 2020-12, which is:
///
/// - `type`, `enum`, `const`;
/// - `properties`, `required`, `additionalProperties`;
/// - `items`, `prefixItems`, `minItems`, `maxItems`, `uniqueItems`;
/// - `minLength`, `maxLength`, `pattern` (a subset of its own, see `TextPattern`), and `format`, which is asserted:
///   `date-time`, `date`, `email`, `uri`, `uuid`;
/// - `minimum`, `maximum`, `exclusiveMinimum`, `exclusiveMaximum`, `multipleOf`;
/// - `allOf`, `anyOf`, `oneOf`, `not`, `$ref` to `#` or `#/$defs/…`, `$defs` at the root;
/// - the annotations `title`, `description`, `default`, `examples`, `deprecated`, `$schema`, `$id`, `$comment`, which
///   change nothing, and `x-martlet-personal`: `drop` or `hash`, which says what becomes of a value before it is stored.
///
/// What it doesn't know it refuses: a keyword that is passed over in silence would let through what its author meant
/// to keep out.
package struct JSONSchema: Sendable {
    /// The schema as it was written.
    package let json: JSON
    let nodes: [SchemaNode]
    /// Nodes that bear something personal, or lead to one that does.
    let personalNodes: Set<Int>

    /// Reads a schema. All mistakes are reported, each with its place.
    package init(_ json: JSON) throws(InvalidSchema) {
        var reader = SchemaReader()
        reader.read(json)
        guard reader.mistakes.isEmpty else { throw InvalidSchema(reader.mistakes) }
        self.json = json
        nodes = reader.nodes
        personalNodes = Self.personalNodes(reader.nodes)
    }

    /// What a value does against the schema, at most 32 of it, in the same order every time.
    package func violations(of value: JSON) -> [Violation] {
        var evaluation = SchemaEvaluation(schema: self, root: value)
        return evaluation.violations(limit: SchemaLimits.violations)
    }

    private static func personalNodes(_ nodes: [SchemaNode]) -> Set<Int> {
        var open = nodes.indices.filter { nodes[$0].personal != nil }
        guard !open.isEmpty else { return [] }
        var leading: [[Int]] = Array(repeating: [], count: nodes.count)
        for (index, node) in nodes.enumerated() {
            for next in node.inPlace + node.children { leading[next].append(index) }
        }
        var found = Set(open)
        while let index = open.popLast() {
            for before in leading[index] where found.insert(before).inserted { open.append(before) }
        }
        return found
    }
}

extension JSONSchema: Hashable {
    package static func == (left: JSONSchema, right: JSONSchema) -> Bool { left.json == right.json }

    package func hash(into hasher: inout Hasher) { hasher.combine(json) }
}
