/// How names are written in the text form of rules.
enum RuleWords {
    /// Words that mean something there. A property that is called so is written in backquotes.
    static let reserved: Set<String> = [
        "after", "age", "ago", "ahead", "all", "among", "and", "any", "anything", "at", "average",
        "before", "between", "by", "calendar", "case", "condition", "contains", "context", "did",
        "distinct", "do", "does", "ends", "event", "exactly", "exist", "exists", "false", "first",
        "for", "group", "has", "identifier", "identify", "ignoring", "in", "is", "last", "least",
        "less", "maximum", "minimum", "more", "most", "next", "no", "not", "of", "or", "over", "page",
        "per", "ratio", "same", "score", "screen", "segment", "since", "starts", "sum", "than", "the", "then",
        "time", "times", "to", "trait", "true", "values", "was", "when", "where", "with", "within",
        "without", "years",
    ]

    /// Whether a byte can stand in a word: letters, digits, and what names, numbers, times and zones have in them.
    static func isPart(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
            UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "_"), UInt8(ascii: "$"), UInt8(ascii: "."),
            UInt8(ascii: "-"), UInt8(ascii: "+"), UInt8(ascii: "/"), UInt8(ascii: ":"), UInt8(ascii: "["),
            UInt8(ascii: "]"), 0x80...0xFF:
            true
        default: false
        }
    }

    /// Whether a word begins as names do, not as numbers and times.
    static func beginsName(_ byte: UInt8?) -> Bool {
        guard let byte else { return false }
        return isPart(byte)
            && !(UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte) && byte != UInt8(ascii: "-")
            && byte != UInt8(ascii: "+")
    }

    /// A name as it is, or in backquotes where it would be taken for something else.
    static func name(_ text: String) -> String {
        if beginsName(text.utf8.first), text.utf8.allSatisfy(isPart), !reserved.contains(text) { return text }
        let escaped = text.reduce(into: "") { $0 += $1 == "`" || $1 == "\\" ? "\\\($1)" : String($1) }
        return "`\(escaped)`"
    }
}

extension PropertyPath {
    /// The path as the text form writes it.
    var words: String { RuleWords.name(text) }
}
