import Models

/// Writes CSV (RFC 4180) that spreadsheets don't take for formulas.
enum CSVText {
    /// A line with its end.
    static func line(_ cells: [String]) -> String { cells.map(cell).joined(separator: ",") + "\r\n" }

    /// A cell. What a spreadsheet would calculate gets an apostrophe before it, which it shows as text (OWASP, "CSV
    /// Injection"); a number is none of that, also when it has a sign. So does what follows a mark at which some
    /// spreadsheet begins a new cell, whatever is quoted: where commas are decimal, files are split at `;`.
    static func cell(_ text: String) -> String {
        let text = Double(text) == nil ? guarded(text) : text
        guard text.utf8.contains(where: { special.contains($0) }) else { return text }
        return "\"" + text.replacing("\"", with: "\"\"") + "\""
    }

    private static func guarded(_ text: String) -> String {
        var result = String.UnicodeScalarView()
        var begins = true
        for scalar in text.unicodeScalars {
            // Quotes and spaces may be taken away before it is looked at; the second of two marks only ends an empty cell.
            if begins, formulas.contains(scalar), result.isEmpty || !separators.contains(scalar) {
                result.append("'")
                begins = false
            }
            result.append(scalar)
            begins = separators.contains(scalar) || (begins && padding.contains(scalar))
        }
        return String(result)
    }

    /// Text of a value: what is no text is written as JSON, and nothing as nothing.
    static func text(_ value: JSON?) -> String {
        switch value {
        case nil, .null?: ""
        case .string(let text)?: text
        case let other?: other.compact
        }
    }

    // With their full-width forms, which some spreadsheets read alike.
    private static let formulas: Set<Unicode.Scalar> = [
        "=", "+", "-", "@", "\t", "\r", "\n", "\u{FF1D}", "\u{FF0B}", "\u{FF0D}", "\u{FF20}",
    ]
    private static let separators: Set<Unicode.Scalar> = [";", ",", "|", "\t", "\r", "\n"]
    private static let padding: Set<Unicode.Scalar> = [" ", "\"", "\u{A0}"]
    private static let special: Set<UInt8> = [0x22, 0x2C, 0x0A, 0x0D]
}
