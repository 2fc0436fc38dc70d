import Models

/// Writes CSV (RFC 4180) that spreadsheets don't take for formulas.
enum CSVText {
    /// A line with its end.
    static func line(_ cells: [String]) -> String { cells.map(cell).joined(separator: ",") + "\r\n" }

    /// A cell. What a spreadsheet would calculate gets an apostrophe before it, which it shows as text (OWASP, "CSV
    /// Injection"); a number is none of that, also when it has a sign.
    static func cell(_ text: String) -> String {
        var text = text
        if let first = text.unicodeScalars.first, formulas.contains(first), Double(text) == nil {
            text = "'" + text
        }
        guard text.utf8.contains(where: { special.contains($0) }) else { return text }
        return "\"" + text.replacing("\"", with: "\"\"") + "\""
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
    private static let special: Set<UInt8> = [0x22, 0x2C, 0x0A, 0x0D]
}
