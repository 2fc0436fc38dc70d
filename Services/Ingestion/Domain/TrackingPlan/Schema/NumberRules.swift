import Models

/// The keywords of numbers.
struct NumberRules: Sendable {
    static let keywords = ["minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"]

    var minimum: ExactNumber?
    var maximum: ExactNumber?
    var exclusiveMinimum: ExactNumber?
    var exclusiveMaximum: ExactNumber?
    var divisor: ExactNumber?

    init?(_ field: SchemaField, _ reader: inout SchemaReader) {
        guard field.hasAny(Self.keywords) else { return nil }
        func number(_ key: String) -> ExactNumber? {
            guard let json = field.members[key] else { return nil }
            guard let number = ExactNumber(json) else {
                reader.mistake(field.pointer.appending(key), "a number")
                return nil
            }
            return number
        }
        minimum = number("minimum")
        maximum = number("maximum")
        exclusiveMinimum = number("exclusiveMinimum")
        exclusiveMaximum = number("exclusiveMaximum")
        divisor = number("multipleOf")
        if let divisor, !(ExactNumber.integer(0) < divisor) {
            reader.mistake(field.pointer.appending("multipleOf"), "a number above 0")
            self.divisor = nil
        }
    }

    func check(_ value: JSON, _ evaluation: inout SchemaEvaluation) -> Bool {
        guard let number = ExactNumber(value) else { return true }
        var isValid = true
        if let minimum, number < minimum {
            isValid = evaluation.fail("minimum", "must be at least \(minimum)")
        }
        if let maximum, maximum < number {
            isValid = evaluation.fail("maximum", "must be at most \(maximum)")
        }
        if let exclusiveMinimum, !(exclusiveMinimum < number) {
            isValid = evaluation.fail("exclusiveMinimum", "must be above \(exclusiveMinimum)")
        }
        if let exclusiveMaximum, !(number < exclusiveMaximum) {
            isValid = evaluation.fail("exclusiveMaximum", "must be below \(exclusiveMaximum)")
        }
        if let divisor, !number.isMultiple(of: divisor) {
            isValid = evaluation.fail("multipleOf", "must be a multiple of \(divisor)")
        }
        return isValid
    }
}
