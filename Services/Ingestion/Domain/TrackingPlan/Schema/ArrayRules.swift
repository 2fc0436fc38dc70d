import Models

/// The keywords of arrays.
struct ArrayRules: Sendable {
    static let keywords = ["prefixItems", "items", "minItems", "maxItems", "uniqueItems"]

    var prefix: [Int] = []
    /// Applies to what follows those with a schema of their own.
    var items: Int?
    var minItems: Int?
    var maxItems: Int?
    var areUnique = false

    init?(_ field: SchemaField, _ reader: inout SchemaReader) {
        guard field.hasAny(Self.keywords) else { return nil }
        prefix = field.subschemas("prefixItems", &reader)
        items = field.subschema("items", &reader)
        minItems = field.count("minItems", &reader)
        maxItems = field.count("maxItems", &reader)
        if let json = field.members["uniqueItems"] {
            if let value = json.bool {
                areUnique = value
            } else {
                reader.mistake(field.pointer.appending("uniqueItems"), "true or false")
            }
        }
    }

    /// The subschema of the element at an index.
    func element(_ index: Int) -> Int? { index < prefix.count ? prefix[index] : items }

    func check(_ value: JSON, _ evaluation: inout SchemaEvaluation) -> Bool {
        guard let elements = value.array else { return true }
        var isValid = true
        if let minItems, elements.count < minItems {
            isValid = evaluation.fail("minItems", "must have at least \(minItems) elements")
        }
        if let maxItems, elements.count > maxItems {
            isValid = evaluation.fail("maxItems", "must have at most \(maxItems) elements")
        }
        if areUnique {
            guard evaluation.spend(value.weight) else { return false }
            if Self.hasRepetition(elements) {
                isValid = evaluation.fail("uniqueItems", "must not have the same element twice")
            }
        }
        guard items != nil || !prefix.isEmpty else { return isValid }
        for (index, element) in elements.enumerated() {
            guard let schema = self.element(index) else { break }
            let keyword = index < prefix.count ? "prefixItems" : "items"
            if !evaluation.check(schema, element, below: "\(index)", as: keyword) {
                isValid = false
                if evaluation.mayStop { return false }
            }
        }
        return isValid
    }

    private static func hasRepetition(_ elements: [JSON]) -> Bool {
        // Values that Swift takes for equal are few enough to be compared one by one.
        var seen: [JSON: [JSON]] = [:]
        for element in elements {
            if seen[element, default: []].contains(where: { $0.isSame(as: element) }) { return true }
            seen[element, default: []].append(element)
        }
        return false
    }
}
