import Models

/// The keyword `type`.
struct JSONTypes: OptionSet, Hashable, Sendable {
    let rawValue: UInt8

    static let null = JSONTypes(rawValue: 1)
    static let boolean = JSONTypes(rawValue: 2)
    static let integer = JSONTypes(rawValue: 4)
    static let number = JSONTypes(rawValue: 8)
    static let string = JSONTypes(rawValue: 16)
    static let array = JSONTypes(rawValue: 32)
    static let object = JSONTypes(rawValue: 64)

    private static let names: [(String, String, JSONTypes)] = [
        ("null", "null", .null), ("boolean", "a boolean", .boolean), ("integer", "a whole number", .integer),
        ("number", "a number", .number), ("string", "a string", .string), ("array", "an array", .array),
        ("object", "an object", .object),
    ]

    init(rawValue: UInt8) { self.rawValue = rawValue }

    init?(name: String) {
        guard let found = Self.names.first(where: { $0.0 == name }) else { return nil }
        self = found.2
    }

    /// The types that a value has; `1.0` is a whole number (JSON Schema Validation, section 6.1.1).
    init(of value: JSON) {
        switch value {
        case .null: self = .null
        case .bool: self = .boolean
        case .integer: self = [.integer, .number]
        case .double(let value):
            self = value.rounded(.towardZero) == value ? [.integer, .number] : .number
        case .string: self = .string
        case .array: self = .array
        case .object: self = .object
        }
    }

    /// The types in words: "a string or null".
    var words: String {
        Self.names.filter { contains($0.2) }.map(\.1).joined(separator: " or ")
    }

    /// Reads a name or a list of names.
    init?(_ field: SchemaField, _ reader: inout SchemaReader) {
        guard let json = field.members["type"] else { return nil }
        let pointer = field.pointer.appending("type")
        let expected =
            "one of \(Self.names.map { "\"\($0.0)\"" }.joined(separator: ", ")), or a list of these"
        if let name = json.string, let types = JSONTypes(name: name) {
            self = types
            return
        }
        guard let names = json.array, !names.isEmpty else {
            reader.mistake(pointer, expected)
            return nil
        }
        var types: JSONTypes = []
        for (index, name) in names.enumerated() {
            guard let type = name.string.flatMap(JSONTypes.init(name:)), !types.contains(type) else {
                reader.mistake(pointer.appending("\(index)"), "a type that the list doesn't have yet")
                continue
            }
            types.insert(type)
        }
        self = types
    }
}
