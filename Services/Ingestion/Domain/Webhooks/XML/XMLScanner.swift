/// Walks over the bytes of an XML document, which are UTF-8.
struct XMLScanner {
    private let bytes: [UInt8]
    private var position = 0

    init(_ bytes: [UInt8]) { self.bytes = bytes }

    var isAtEnd: Bool { position == bytes.count }

    func error(_ kind: XMLError.Kind, _ message: String) -> XMLError { XMLError(kind, at: position, message) }

    func starts(with text: StaticString) -> Bool {
        text.withUTF8Buffer { wanted in bytes[position...].starts(with: wanted) }
    }

    mutating func take(_ text: StaticString) -> Bool {
        guard starts(with: text) else { return false }
        position += text.utf8CodeUnitCount
        return true
    }

    mutating func skipSpace() {
        while position < bytes.count, Self.isSpace(bytes[position]) { position += 1 }
    }

    /// The byte order mark and the declaration, which may say no other encoding than UTF-8.
    mutating func skipProlog() throws(XMLError) {
        if bytes.starts(with: [0xEF, 0xBB, 0xBF]) { position = 3 }
        guard starts(with: "<?xml "), take("<?xml") else { return }
        let declaration = try text(upTo: "?>", what: "the declaration").lowercased()
        if let encoding = declaration.firstRange(of: "encoding") {
            let value = declaration[encoding.upperBound...].drop {
                $0 == "=" || $0 == "\"" || $0 == "'" || $0 == " "
            }
            guard value.hasPrefix("utf-8") || value.hasPrefix("us-ascii") else {
                throw error(.characters, "expected the encoding UTF-8")
            }
        }
    }

    /// A name with its prefix. What is beyond ASCII counts as letters: names are compared, never shown.
    mutating func name() throws(XMLError) -> String {
        let start = position
        while position < bytes.count, Self.isNameByte(bytes[position]) { position += 1 }
        guard position > start, position - start <= 256, !Self.isDigitOrSign(bytes[start]) else {
            throw error(.syntax, "expected a name")
        }
        return String(decoding: bytes[start..<position], as: UTF8.self)
    }

    /// The attributes of a start tag, up to its `>` or `/`.
    mutating func attributes(limit: Int) throws(XMLError) -> [(name: String, value: String)] {
        var attributes: [(name: String, value: String)] = []
        while true {
            let before = position
            skipSpace()
            guard position < bytes.count else { throw error(.syntax, "the document ends too early") }
            if starts(with: ">") || starts(with: "/") { return attributes }
            guard position > before else { throw error(.syntax, "expected white space before an attribute") }
            guard attributes.count < limit else { throw error(.tooLarge, "more than \(limit) attributes") }
            let name = try name()
            skipSpace()
            guard take("=") else { throw error(.syntax, "expected '='") }
            skipSpace()
            let quote: UInt8 = starts(with: "'") ? UInt8(ascii: "'") : UInt8(ascii: "\"")
            guard position < bytes.count, bytes[position] == quote else {
                throw error(.syntax, "expected a quote")
            }
            position += 1
            let start = position
            while position < bytes.count, bytes[position] != quote {
                guard bytes[position] != UInt8(ascii: "<") else {
                    throw error(.syntax, "'<' in an attribute")
                }
                position += 1
            }
            guard position < bytes.count else { throw error(.syntax, "an attribute without an end") }
            attributes.append((name, try XMLText.unescaped(bytes[start..<position])))
            position += 1
        }
    }

    /// Text up to the next `<`.
    mutating func characters() throws(XMLError) -> String {
        let start = position
        while position < bytes.count, bytes[position] != UInt8(ascii: "<") { position += 1 }
        return try XMLText.unescaped(bytes[start..<position])
    }

    /// Everything as it stands up to `end`, which is skipped.
    mutating func text(upTo end: StaticString, what: String) throws(XMLError) -> String {
        let start = position
        while position < bytes.count {
            if starts(with: end) {
                let text = bytes[start..<position]
                position += end.utf8CodeUnitCount
                try XMLText.check(text)
                return String(decoding: text, as: UTF8.self)
            }
            position += 1
        }
        throw error(.syntax, "\(what) without an end")
    }

    private static func isSpace(_ byte: UInt8) -> Bool {
        byte == 0x20 || byte == 0x09 || byte == 0x0A || byte == 0x0D
    }

    private static func isNameByte(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
            UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "_"), UInt8(ascii: "-"), UInt8(ascii: "."),
            UInt8(ascii: ":"), 0x80...0xFF:
            true
        default: false
        }
    }

    private static func isDigitOrSign(_ byte: UInt8) -> Bool {
        byte &- UInt8(ascii: "0") < 10 || byte == UInt8(ascii: "-") || byte == UInt8(ascii: ".")
    }
}
