extension LiquidFilter {
    static let markupFilters: [String: LiquidFilter] = [
        "raw": LiquidFilter { (value, _) throws(LiquidProblem) in .markup(value.text) },
        "escape": LiquidFilter { (value, _) throws(LiquidProblem) in .markup(value.text.htmlEscaped) },
        "escape_once": LiquidFilter { (value, _) throws(LiquidProblem) in .markup(escapedOnce(value.text)) },
        "newline_to_br": LiquidFilter { (value, arguments) throws(LiquidProblem) in
            var text = value.text
            if arguments.environment.escapesHTML, case .string = value { text = text.htmlEscaped }
            return .markup(
                text.split(omittingEmptySubsequences: false) { $0 == "\n" || $0 == "\r\n" }.joined(
                    separator: "<br />\n"))
        },
        "strip_html": .text(stripped),
    ]

    /// Escapes, but leaves what is a character reference already.
    private static func escapedOnce(_ text: String) -> String {
        var result = ""
        var rest = text[...]
        while let ampersand = rest.firstIndex(of: "&") {
            result += String(rest[..<ampersand]).htmlEscaped
            rest = rest[rest.index(after: ampersand)...]
            let name = rest.prefix(32).prefix { $0.isASCII && ($0.isLetter || $0.isNumber || $0 == "#") }
            let isReference = !name.isEmpty && rest[name.endIndex...].first == ";"
            result += isReference ? "&" : "&amp;"
        }
        return result + String(rest).htmlEscaped
    }

    private static func stripped(_ text: String) -> String {
        var bytes = Array(text.utf8)
        for (open, close) in [("<script", "</script>"), ("<!--", "-->"), ("<style", "</style>"), ("<", ">")] {
            bytes = without(bytes, from: Array(open.utf8), to: Array(close.utf8))
        }
        return String(decoding: bytes, as: UTF8.self)
    }

    private static func without(_ bytes: [UInt8], from open: [UInt8], to close: [UInt8]) -> [UInt8] {
        var result: [UInt8] = []
        var start = 0
        while let first = bytes.firstRange(of: open, from: start),
            let last = bytes.firstRange(of: close, from: first.upperBound)
        {
            result += bytes[start..<first.lowerBound]
            start = last.upperBound
        }
        return result + bytes[start...]
    }
}

extension String {
    /// The text as it is written in HTML, in an element or in a quoted attribute.
    var htmlEscaped: String {
        var result: [UInt8] = []
        result.reserveCapacity(utf8.count)
        for byte in utf8 {
            switch byte {
            case UInt8(ascii: "&"): result += "&amp;".utf8
            case UInt8(ascii: "<"): result += "&lt;".utf8
            case UInt8(ascii: ">"): result += "&gt;".utf8
            case UInt8(ascii: "\""): result += "&quot;".utf8
            case UInt8(ascii: "'"): result += "&#39;".utf8
            default: result.append(byte)
            }
        }
        return String(decoding: result, as: UTF8.self)
    }
}
