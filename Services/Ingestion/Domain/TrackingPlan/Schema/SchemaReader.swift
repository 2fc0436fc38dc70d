import Models

/// The members of a subschema with its place.
struct SchemaField {
    let members: [String: JSON]
    let pointer: JSONPointer

    func hasAny(_ keywords: [String]) -> Bool { keywords.contains { members[$0] != nil } }

    /// A whole number from 0.
    func count(_ key: String, _ reader: inout SchemaReader) -> Int? {
        guard let json = members[key] else { return nil }
        guard let count = json.integer, count >= 0, let count = Int(exactly: count) else {
            reader.mistake(pointer.appending(key), "a whole number from 0")
            return nil
        }
        return count
    }

    func subschema(_ key: String, _ reader: inout SchemaReader) -> Int? {
        members[key].flatMap { reader.subschema($0, at: pointer.appending(key)) }
    }

    func subschemas(_ key: String, _ reader: inout SchemaReader) -> [Int] {
        guard let json = members[key] else { return [] }
        guard let schemas = json.array, !schemas.isEmpty else {
            reader.mistake(pointer.appending(key), "a list of schemas, at least one")
            return []
        }
        return schemas.enumerated().compactMap { index, schema in
            reader.subschema(schema, at: pointer.appending(key).appending("\(index)"))
        }
    }
}

/// Turns the text of a schema into the list of its subschemas, collecting every mistake on the way.
struct SchemaReader {
    private(set) var nodes: [SchemaNode] = []
    private(set) var mistakes: [SchemaMistake] = []
    private var definitions: [String: Int] = [:]
    private var references: [(node: Int, target: JSONPointer, pointer: JSONPointer)] = []
    private var depth = 0
    private var isFull = false
    /// Above 0 while a subschema is read that a value must not conform to.
    var isUnderNot = 0

    private static let annotations = [
        "title", "description", "default", "examples", "deprecated", "$schema", "$id", "$comment", "$defs",
    ]
    static let personal = "x-martlet-personal"
    private static let known = Set(
        annotations + ["type", personal] + ValueRules.keywords + NumberRules.keywords + TextRules.keywords
            + ArrayRules.keywords + ObjectRules.keywords + CombinedRules.keywords)

    mutating func mistake(_ pointer: JSONPointer, _ expected: String) {
        guard mistakes.count < SchemaLimits.mistakes else { return }
        mistakes.append(SchemaMistake(pointer, expected: expected))
    }

    /// Reads a whole schema; its root is the first of the nodes.
    mutating func read(_ json: JSON) {
        guard subschema(json, at: JSONPointer()) != nil else { return }
        resolveReferences()
        if mistakes.isEmpty { refuseEndlessReferences() }
        if mistakes.isEmpty { refusePersonalRoot() }
    }

    /// Reads one subschema, and gives its place in the list.
    mutating func subschema(_ json: JSON, at pointer: JSONPointer) -> Int? {
        guard depth < SchemaLimits.depth else {
            mistake(pointer, "nested at most \(SchemaLimits.depth) schemas deep")
            return nil
        }
        guard nodes.count < SchemaLimits.subschemas else {
            if !isFull { mistake(pointer, "the last of at most \(SchemaLimits.subschemas) subschemas") }
            isFull = true
            return nil
        }
        let index = nodes.count
        nodes.append(SchemaNode(pointer: pointer))
        if let truth = json.bool {
            nodes[index].isNever = !truth
            return index
        }
        guard let members = json.object else {
            mistake(pointer, "a schema, which is an object, true or false")
            return nil
        }
        depth += 1
        nodes[index] = node(SchemaField(members: members, pointer: pointer), at: index)
        depth -= 1
        return index
    }

    private mutating func node(_ field: SchemaField, at index: Int) -> SchemaNode {
        for key in field.members.keys.sorted() where !Self.known.contains(key) {
            mistake(field.pointer.appending(key), "a keyword of Martlet's subset of JSON Schema 2020-12")
        }
        readDefinitions(field)
        if let json = field.members["$ref"] { readReference(json, field, index) }
        return SchemaNode(
            pointer: field.pointer, types: JSONTypes(field, &self), values: ValueRules(field, &self),
            numbers: NumberRules(field, &self), text: TextRules(field, &self),
            arrays: ArrayRules(field, &self),
            objects: ObjectRules(field, &self), combined: CombinedRules(field, &self),
            personal: personal(field))
    }

    private mutating func personal(_ field: SchemaField) -> PersonalTreatment? {
        guard let json = field.members[Self.personal] else { return nil }
        let pointer = field.pointer.appending(Self.personal)
        guard let treatment = json.string.flatMap(PersonalTreatment.init(rawValue:)) else {
            mistake(pointer, "\"drop\" or \"hash\"")
            return nil
        }
        if isUnderNot > 0 { mistake(pointer, "outside of \"not\", which says what a value is not") }
        return treatment
    }
}

// MARK: - References

extension SchemaReader {
    private mutating func readDefinitions(_ field: SchemaField) {
        guard let json = field.members["$defs"] else { return }
        let pointer = field.pointer.appending("$defs")
        guard field.pointer.tokens.isEmpty else {
            return mistake(pointer, "at the root of the schema, where references find it")
        }
        guard let members = json.object else { return mistake(pointer, "an object of schemas") }
        for name in members.keys.sorted(by: { $0.precedesInUTF8($1) }) {
            guard let schema = members[name] else { continue }
            definitions[name] = subschema(schema, at: pointer.appending(name))
        }
    }

    private mutating func readReference(_ json: JSON, _ field: SchemaField, _ node: Int) {
        let pointer = field.pointer.appending("$ref")
        guard let text = json.string, text.utf8.first == UInt8(ascii: "#"),
            let decoded = Self.percentDecoded(text.dropFirst()), let target = JSONPointer(text: decoded),
            target.tokens.isEmpty || (target.tokens.count == 2 && target.tokens[0] == "$defs")
        else { return mistake(pointer, "\"#\", or a definition of this schema such as \"#/$defs/name\"") }
        references.append((node, target, pointer))
    }

    private static func percentDecoded(_ text: Substring) -> String? {
        var bytes: [UInt8] = []
        var rest = text.utf8[...]
        while let byte = rest.popFirst() {
            guard byte == UInt8(ascii: "%") else {
                bytes.append(byte)
                continue
            }
            let digits = rest.prefix(2)
            guard digits.count == 2, digits.allSatisfy({ Unicode.Scalar($0).properties.isASCIIHexDigit }),
                let value = UInt8(String(decoding: digits, as: UTF8.self), radix: 16)
            else { return nil }
            bytes.append(value)
            rest = rest.dropFirst(2)
        }
        return String(validating: bytes, as: UTF8.self)
    }

    private mutating func resolveReferences() {
        for (node, target, pointer) in references {
            guard let name = target.tokens.last else {
                nodes[node].combined?.reference = 0
                continue
            }
            guard let definition = definitions[name] else {
                mistake(pointer, "the name of a definition under $defs")
                continue
            }
            nodes[node].combined?.reference = definition
        }
    }

    /// A reference that leads back to itself without going into a member or an element would never end.
    private mutating func refuseEndlessReferences() {
        for (node, _, pointer) in references {
            guard let target = nodes[node].combined?.reference else { continue }
            if reachable(from: target, { $0.inPlace }).contains(node) {
                mistake(pointer, "no reference to itself without a member or an element in between")
            }
        }
    }

    private mutating func refusePersonalRoot() {
        for index in reachable(from: 0, { $0.inPlace }).sorted() where nodes[index].personal != nil {
            mistake(
                nodes[index].pointer.appending(Self.personal), "on a property or an element, not on the whole"
            )
        }
    }

    private func reachable(from start: Int, _ next: (SchemaNode) -> [Int]) -> Set<Int> {
        var found: Set<Int> = [start]
        var open = [start]
        while let index = open.popLast() {
            for follower in next(nodes[index]) where found.insert(follower).inserted { open.append(follower) }
        }
        return found
    }
}
