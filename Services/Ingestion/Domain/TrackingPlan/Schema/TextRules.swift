import Models

/// The keywords of strings.
struct TextRules: Sendable {
    static let keywords = ["minLength", "maxLength", "pattern", "format"]

    /// In Unicode scalars (JSON Schema Validation, section 6.3).
    var minLength: Int?
    var maxLength: Int?
    var pattern: TextPattern?
    var format: TextFormat?

    init?(_ field: SchemaField, _ reader: inout SchemaReader) {
        guard field.hasAny(Self.keywords) else { return nil }
        minLength = field.count("minLength", &reader)
        maxLength = field.count("maxLength", &reader)
        if let json = field.members["format"] {
            format = json.string.flatMap(TextFormat.init(rawValue:))
            if format == nil {
                let known = TextFormat.allCases.map { "\"\($0.rawValue)\"" }.joined(separator: ", ")
                reader.mistake(field.pointer.appending("format"), "one of \(known)")
            }
        }
        guard let json = field.members["pattern"] else { return }
        let pointer = field.pointer.appending("pattern")
        guard let text = json.string else {
            reader.mistake(pointer, "a regular expression")
            return
        }
        do {
            pattern = try TextPattern(text)
        } catch {
            reader.mistake(pointer, "a regular expression with \(error)")
        }
    }

    func check(_ value: JSON, _ evaluation: inout SchemaEvaluation) -> Bool {
        guard let text = value.string else { return true }
        guard evaluation.spend(text.utf8.count / 16) else { return false }
        var isValid = true
        if minLength != nil || maxLength != nil {
            let length = text.unicodeScalars.count
            if let minLength, length < minLength {
                isValid = evaluation.fail("minLength", "must have at least \(minLength) characters")
            }
            if let maxLength, length > maxLength {
                isValid = evaluation.fail("maxLength", "must have at most \(maxLength) characters")
            }
        }
        if let pattern {
            guard let matches = evaluation.match(pattern, text) else { return false }
            if !matches { isValid = evaluation.fail("pattern", "must match the stated pattern") }
        }
        if let format, !format.matches(text) {
            isValid = evaluation.fail("format", "must be \(format.words)")
        }
        return isValid
    }
}
