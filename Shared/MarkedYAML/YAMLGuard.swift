/// Refuses texts that the YAML parser itself would choke on, before it sees them: it recurses with the depth
/// of nesting, and compares keys, which with an alias as key can be exponentially large.
enum YAMLGuard {
    static func check(_ text: String, depth limit: Int) throws(YAMLMistake) {
        var depth = 0
        for (index, line) in text.utf8.split(separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false)
            .enumerated()
        {
            for byte in line {
                switch byte {
                case UInt8(ascii: "["), UInt8(ascii: "{"): depth += 1
                case UInt8(ascii: "]"), UInt8(ascii: "}"): depth = max(0, depth - 1)
                default: break
                }
                if depth > limit { throw tooDeep(line: index + 1, limit) }
            }
            if indicators(atStartOf: line) > limit { throw tooDeep(line: index + 1, limit) }
            if let column = columnOfAnchor(line) {
                throw YAMLMistake(
                    at: YAMLMark(line: index + 1, column: column),
                    expected: "no anchors (`&…`) and aliases (`*…`)", found: "one")
            }
            if hasAliasAsKey(line) {
                throw YAMLMistake(
                    at: YAMLMark(line: index + 1, column: 1),
                    expected: "no anchors (`&…`) and aliases (`*…`)", found: "one")
            }
        }
    }

    /// `- - - - x` opens a list for every hyphen.
    private static func indicators(atStartOf line: Substring.UTF8View.SubSequence) -> Int {
        var count = 0
        for byte in line {
            switch byte {
            case UInt8(ascii: "-"), UInt8(ascii: "?"), UInt8(ascii: ":"): count += 1
            case 0x20, 0x09, 0x0D: break
            default: return count
            }
        }
        return count
    }

    /// The column of an `&name` that stands where a value begins, after `key: ` or `- `. A value without quotes
    /// cannot begin with `&`, and the parser does not tell of every anchor that it has resolved.
    private static func columnOfAnchor(_ line: Substring.UTF8View.SubSequence) -> Int? {
        var previous = UInt8(ascii: "\n")
        var spaced = false
        for (column, byte) in line.enumerated() {
            if byte == UInt8(ascii: "\"") || byte == UInt8(ascii: "'") || byte == UInt8(ascii: "#") {
                return nil
            }
            if byte == UInt8(ascii: "&"), spaced,
                previous == UInt8(ascii: ":") || previous == UInt8(ascii: "-")
            {
                return startsName(line.dropFirst(column + 1)) ? column + 1 : nil
            }
            spaced = byte == 0x20 || byte == 0x09
            if !spaced { previous = byte }
        }
        return nil
    }

    private static func hasAliasAsKey(_ line: Substring.UTF8View.SubSequence) -> Bool {
        var previous = UInt8(ascii: "\n")
        var index = line.startIndex
        while index < line.endIndex {
            let byte = line[index]
            defer {
                if byte != 0x20, byte != 0x09 { previous = byte }
                index = line.index(after: index)
            }
            guard byte == UInt8(ascii: "*") else { continue }
            if previous == UInt8(ascii: "{") || previous == UInt8(ascii: ",") || previous == UInt8(ascii: "?")
            {
                if startsName(line[line.index(after: index)...]) { return true }
            }
            // `*name:` or `*name :`
            let rest = line[line.index(after: index)...].drop { $0 > 0x20 && $0 != UInt8(ascii: ":") }
            if startsName(line[line.index(after: index)...]),
                rest.drop(while: { $0 == 0x20 || $0 == 0x09 }).first == UInt8(ascii: ":")
            {
                return true
            }
        }
        return false
    }

    private static func startsName(_ text: Substring.UTF8View.SubSequence) -> Bool {
        guard let first = text.first else { return false }
        // `"*"` is a text in quotes.
        return first > 0x20 && ![UInt8(ascii: "*"), UInt8(ascii: "\""), UInt8(ascii: "'")].contains(first)
    }

    private static func tooDeep(line: Int, _ limit: Int) -> YAMLMistake {
        YAMLMistake(
            at: YAMLMark(line: line, column: 1), expected: "values nested at most \(limit) deep",
            found: "more")
    }
}
