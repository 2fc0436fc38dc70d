import Models

/// The keywords of objects.
struct ObjectRules: Sendable {
    static let keywords = ["properties", "additionalProperties", "required"]

    var properties: [String: Int] = [:]
    /// Applies to members that `properties` doesn't name.
    var additional: Int?
    var required: [String] = []

    init?(_ field: SchemaField, _ reader: inout SchemaReader) {
        guard field.hasAny(Self.keywords) else { return nil }
        if let json = field.members["properties"] {
            let pointer = field.pointer.appending("properties")
            if let members = json.object {
                for name in members.keys.sorted(by: { $0.precedesInUTF8($1) }) {
                    guard let schema = members[name] else { continue }
                    properties[name] = reader.subschema(schema, at: pointer.appending(name))
                }
            } else {
                reader.mistake(pointer, "an object of schemas")
            }
        }
        additional = field.subschema("additionalProperties", &reader)
        if let json = field.members["required"] { readRequired(json, field, &reader) }
    }

    private mutating func readRequired(
        _ json: JSON, _ field: SchemaField, _ reader: inout SchemaReader
    ) {
        let pointer = field.pointer.appending("required")
        guard let names = json.array, names.count <= SchemaLimits.listed else {
            return reader.mistake(pointer, "a list of at most \(SchemaLimits.listed) names")
        }
        for (index, name) in names.enumerated() {
            guard let name = name.string, !required.contains(name) else {
                reader.mistake(pointer.appending("\(index)"), "a name that the list doesn't have yet")
                continue
            }
            required.append(name)
        }
    }

    /// The subschema of the member with a name.
    func member(_ name: String) -> Int? { properties[name] ?? additional }

    func check(_ value: JSON, _ evaluation: inout SchemaEvaluation) -> Bool {
        guard let members = value.object else { return true }
        var isValid = true
        guard evaluation.spend(required.count) else { return false }
        for name in required where members[name] == nil && !evaluation.isDropped(name) {
            isValid = evaluation.fail("required", "must have \(name)")
        }
        guard additional != nil || !properties.isEmpty else { return isValid }
        guard evaluation.spend(members.count) else { return false }
        // In order, so that the same violations are reported, and the same steps taken, every time.
        for name in members.keys.sorted(by: { $0.precedesInUTF8($1) }) {
            guard let schema = member(name), let value = members[name] else { continue }
            let keyword = properties[name] == nil ? "additionalProperties" : "properties"
            if !evaluation.check(schema, value, below: name, as: keyword) {
                isValid = false
                if evaluation.mayStop { return false }
            }
        }
        return isValid
    }
}
