import Models

/// One mistake in a rule that is written as text: where it is and what was expected there.
package struct RuleTextProblem: Error, Hashable, Sendable {
    package var position: TextPosition
    package var expected: String
}

/// Everything that is wrong with a rule that is written as text, in its order.
package struct InvalidRuleText: Error, Hashable, Sendable {
    package var problems: [RuleTextProblem]
}

/// A word, name, text or sign of a rule, with the place of its first byte.
struct RuleToken {
    enum Kind: Hashable {
        /// Letters, digits and what names, numbers, times and zones have in them.
        case word(String)
        /// In backquotes, so never a word of the language.
        case name(String)
        /// In quotes, as in JSON.
        case text(String)
        case sign(String)
        case end
    }

    var kind: Kind
    var offset: Int

    /// Takes a rule apart.
    static func tokens(of bytes: [UInt8]) throws(RuleTextProblem) -> [RuleToken] {
        var tokens: [RuleToken] = []
        var offset = 0
        while offset < bytes.count {
            let byte = bytes[offset]
            let start = offset
            switch byte {
            case UInt8(ascii: " "), UInt8(ascii: "\n"), UInt8(ascii: "\r"), UInt8(ascii: "\t"):
                offset += 1
            case UInt8(ascii: "\""):
                offset = try end(of: bytes, from: start)
                guard let text = (try? JSONParser.parse(bytes[start..<offset]))?.string else {
                    throw problem(start, "text in quotes, escaped as in JSON", bytes)
                }
                tokens.append(RuleToken(kind: .text(text), offset: start))
            case UInt8(ascii: "`"):
                offset = try end(of: bytes, from: start)
                tokens.append(
                    RuleToken(kind: .name(unescaped(bytes[(start + 1)..<(offset - 1)])), offset: start))
            case UInt8(ascii: "("), UInt8(ascii: ")"), UInt8(ascii: ","), UInt8(ascii: "="):
                offset += 1
                tokens.append(sign(bytes[start..<offset], at: start))
            case UInt8(ascii: "!"), UInt8(ascii: "<"), UInt8(ascii: ">"):
                offset += offset + 1 < bytes.count && bytes[offset + 1] == UInt8(ascii: "=") ? 2 : 1
                guard byte != UInt8(ascii: "!") || offset == start + 2 else {
                    throw problem(start, "!=", bytes)
                }
                tokens.append(sign(bytes[start..<offset], at: start))
            default:
                while offset < bytes.count, RuleWords.isPart(bytes[offset]) { offset += 1 }
                guard offset > start else {
                    throw problem(
                        start, "a word, text in quotes, a name in backquotes, or one of ( ) , = != < <= > >=",
                        bytes)
                }
                let word = String(decoding: bytes[start..<offset], as: UTF8.self)
                tokens.append(RuleToken(kind: .word(word), offset: start))
            }
        }
        tokens.append(RuleToken(kind: .end, offset: bytes.count))
        return tokens
    }

    private static func sign(_ bytes: ArraySlice<UInt8>, at offset: Int) -> RuleToken {
        RuleToken(kind: .sign(String(decoding: bytes, as: UTF8.self)), offset: offset)
    }

    /// Behind the quote that ends what one begins.
    private static func end(of bytes: [UInt8], from start: Int) throws(RuleTextProblem) -> Int {
        var offset = start + 1
        while offset < bytes.count, bytes[offset] != bytes[start] {
            offset += bytes[offset] == UInt8(ascii: "\\") ? 2 : 1
        }
        guard offset < bytes.count else {
            let quote = bytes[start] == UInt8(ascii: "`") ? "backquote" : "quote"
            throw problem(start, "a \(quote) at the end of what begins here", bytes)
        }
        return offset + 1
    }

    private static func unescaped(_ bytes: ArraySlice<UInt8>) -> String {
        var plain: [UInt8] = []
        var isEscaped = false
        for byte in bytes {
            if !isEscaped, byte == UInt8(ascii: "\\") {
                isEscaped = true
            } else {
                plain.append(byte)
                isEscaped = false
            }
        }
        return String(decoding: plain, as: UTF8.self)
    }

    static func problem(_ offset: Int, _ expected: String, _ bytes: [UInt8]) -> RuleTextProblem {
        RuleTextProblem(position: TextPosition(of: offset, in: bytes), expected: expected)
    }
}

/// A part of a rule's JSON that was written as text, with the place where it was.
struct RuleNode {
    enum Content {
        case value(JSON)
        case list([RuleNode])
        case object([String: RuleNode])
    }

    var content: Content
    var offset: Int

    init(_ json: JSON, at offset: Int) {
        content = .value(json)
        self.offset = offset
    }

    init(_ list: [RuleNode], at offset: Int) {
        content = .list(list)
        self.offset = offset
    }

    init(_ members: [String: RuleNode], at offset: Int) {
        content = .object(members)
        self.offset = offset
    }

    var json: JSON {
        switch content {
        case .value(let json): json
        case .list(let nodes): .array(nodes.map(\.json))
        case .object(let members): .object(members.mapValues(\.json))
        }
    }

    /// Where the part at a path was written, or the nearest around it that was.
    func offset(of path: ArraySlice<String>) -> Int {
        guard let component = path.first else { return offset }
        switch content {
        case .value: return offset
        case .list(let nodes):
            guard let index = Int(component), nodes.indices.contains(index) else { return offset }
            return nodes[index].offset(of: path.dropFirst())
        case .object(let members): return members[component]?.offset(of: path.dropFirst()) ?? offset
        }
    }
}
