import Models

/// One subschema. What it refers to are places in the list of all subschemas.
struct SchemaNode: Sendable {
    /// Where it stands in the schema's text.
    var pointer: JSONPointer
    /// The schema `false`, which nothing conforms to.
    var isNever = false
    var types: JSONTypes?
    var values: ValueRules?
    var numbers: NumberRules?
    var text: TextRules?
    var arrays: ArrayRules?
    var objects: ObjectRules?
    var combined: CombinedRules?
    var personal: PersonalTreatment?

    /// Subschemas that apply to the very value that this one applies to.
    var inPlace: [Int] {
        guard let combined else { return [] }
        return combined.certain + combined.alternatives + (combined.not.map { [$0] } ?? [])
    }

    /// Subschemas that apply to members and elements of the value.
    var children: [Int] {
        var children = objects.map { Array($0.properties.values) } ?? []
        if let additional = objects?.additional { children.append(additional) }
        children += arrays?.prefix ?? []
        if let items = arrays?.items { children.append(items) }
        return children
    }
}

/// What becomes of a value that a plan marks as personal.
package enum PersonalTreatment: String, CaseIterable, Sendable, Comparable {
    case hash, drop

    /// The stricter of two is the greater.
    package static func < (left: PersonalTreatment, right: PersonalTreatment) -> Bool {
        left == .hash && right == .drop
    }
}
