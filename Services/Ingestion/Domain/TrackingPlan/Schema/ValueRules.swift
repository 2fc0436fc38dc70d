import Models

/// The keywords `enum` and `const`.
struct ValueRules: Sendable {
    static let keywords = ["enum", "const"]

    var options: [JSON]?
    /// The options again. What is in no set of equal values is not the same as any of them either.
    private var optionSet: Set<JSON> = []
    var constant: JSON?

    init?(_ field: SchemaField, _ reader: inout SchemaReader) {
        guard field.hasAny(Self.keywords) else { return nil }
        constant = field.members["const"]
        guard let json = field.members["enum"] else { return }
        guard let options = json.array, (1...SchemaLimits.listed).contains(options.count) else {
            reader.mistake(
                field.pointer.appending("enum"), "a list of 1 to \(SchemaLimits.listed) values")
            return
        }
        self.options = options
        optionSet = Set(options)
    }

    func check(_ value: JSON, _ evaluation: inout SchemaEvaluation) -> Bool {
        var isValid = true
        if let options {
            guard evaluation.spend(value.weight) else { return false }
            if !optionSet.contains(value) || !options.contains(where: { $0.isSame(as: value) }) {
                isValid = evaluation.fail(
                    "enum", "must be one of the \(options.count) values that are listed")
            }
        }
        if let constant {
            guard evaluation.spend(value.weight) else { return false }
            if !constant.isSame(as: value) {
                isValid = evaluation.fail("const", "must be the one value that is stated")
            }
        }
        return isValid
    }
}
