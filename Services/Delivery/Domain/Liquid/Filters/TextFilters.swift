extension LiquidFilter {
    static let textFilters: [String: LiquidFilter] = [
        "upcase": .text { $0.uppercased() },
        "downcase": .text { $0.lowercased() },
        "capitalize": .text { $0.prefix(1).uppercased() + $0.dropFirst().lowercased() },
        "strip": .text { $0.trimmed(start: true, end: true) },
        "lstrip": .text { $0.trimmed(start: true, end: false) },
        "rstrip": .text { $0.trimmed(start: false, end: true) },
        "strip_newlines": .text { text in
            String(decoding: text.utf8.filter { $0 != 10 && $0 != 13 }, as: UTF8.self)
        },
        "append": LiquidFilter(1...1) { (value, arguments) throws(LiquidProblem) in
            .string(value.text + arguments.text(0))
        },
        "prepend": LiquidFilter(1...1) { (value, arguments) throws(LiquidProblem) in
            .string(arguments.text(0) + value.text)
        },
        "truncate": LiquidFilter(0...2) { (value, arguments) throws(LiquidProblem) in
            let length = try arguments.integer(0) ?? 50
            let ending = arguments[1]?.text ?? "..."
            let text = value.text
            if text.count <= length { return .string(text) }
            return .string(String(text.prefix(max(0, length - ending.count))) + ending)
        },
        "truncatewords": LiquidFilter(0...2) { (value, arguments) throws(LiquidProblem) in
            let length = max(1, try arguments.integer(0) ?? 15)
            let ending = arguments[1]?.text ?? "..."
            let words = value.text.split(whereSeparator: \.isWhitespace)
            if words.count <= length { return .string(value.text) }
            return .string(words.prefix(length).joined(separator: " ") + ending)
        },
        "split": LiquidFilter(1...1) { (value, arguments) throws(LiquidProblem) in
            .array(split(value.text, by: arguments.text(0)).map(LiquidValue.string))
        },
        "slice": LiquidFilter(1...2) { (value, arguments) throws(LiquidProblem) in
            guard let start = try arguments.integer(0) else { return .null }
            let length = arguments[1]?.isNull ?? true ? 1 : try arguments.integer(1) ?? 1
            if case .array(let items) = value {
                return .array(Array(slice(items, from: start, length: length)))
            }
            return .string(String(slice(Array(value.text), from: start, length: length)))
        },
    ]

    private static func slice<Item>(_ items: [Item], from start: Int, length: Int) -> ArraySlice<Item> {
        let first = start < 0 ? items.count + start : start
        guard first >= 0, first < items.count, length > 0 else { return [] }
        return items[first..<(first + min(length, items.count - first))]
    }

    /// Nothing separates characters; one blank separates words, however many there are. Trailing gaps go.
    private static func split(_ text: String, by separator: String) -> [String] {
        if separator.isEmpty { return text.map(String.init) }
        if separator == " " { return text.split(whereSeparator: \.isWhitespace).map(String.init) }
        let (bytes, wanted) = (Array(text.utf8), Array(separator.utf8))
        var parts: [String] = []
        var start = 0
        while let found = bytes.firstRange(of: wanted, from: start) {
            parts.append(String(decoding: bytes[start..<found.lowerBound], as: UTF8.self))
            start = found.upperBound
        }
        parts.append(String(decoding: bytes[start...], as: UTF8.self))
        while parts.last?.isEmpty ?? false { parts.removeLast() }
        return parts
    }
}

extension String {
    func trimmed(start: Bool, end: Bool) -> String {
        var bytes = Array(utf8)[...]
        if start { bytes = bytes.drop { $0.isLiquidSpace || $0 == 0 } }
        while end, let last = bytes.last, last.isLiquidSpace || last == 0 { bytes.removeLast() }
        return String(decoding: bytes, as: UTF8.self)
    }
}
