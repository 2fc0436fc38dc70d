/// Characters of XML: which there are, and how they are escaped.
enum XMLText {
    /// The text with references replaced: the five of XML and those by number, there are no others.
    static func unescaped(_ bytes: ArraySlice<UInt8>) throws(XMLError) -> String {
        try check(bytes)
        guard bytes.contains(UInt8(ascii: "&")) else { return String(decoding: bytes, as: UTF8.self) }
        var result: [UInt8] = []
        var rest = bytes
        while let ampersand = rest.firstIndex(of: UInt8(ascii: "&")) {
            result += rest[..<ampersand]
            // The longest reference is `&#x0010FFFF;`.
            let after = rest[(ampersand + 1)...].prefix(12)
            guard let semicolon = after.firstIndex(of: UInt8(ascii: ";")) else {
                throw XMLError(.syntax, at: ampersand, "'&' that begins no reference")
            }
            let name = String(decoding: rest[(ampersand + 1)..<semicolon], as: UTF8.self)
            guard let character = character(name) else {
                throw XMLError(.forbidden, at: ampersand, "an entity that XML does not define")
            }
            result += Array(String(character).utf8)
            rest = rest[(semicolon + 1)...]
        }
        return String(decoding: result + rest, as: UTF8.self)
    }

    private static func character(_ name: String) -> Unicode.Scalar? {
        switch name {
        case "amp": return "&"
        case "lt": return "<"
        case "gt": return ">"
        case "quot": return "\""
        case "apos": return "'"
        default: break
        }
        let value: UInt32?
        if name.hasPrefix("#x") {
            value = number(name.dropFirst(2), radix: 16)
        } else if name.hasPrefix("#") {
            value = number(name.dropFirst(), radix: 10)
        } else {
            value = nil
        }
        guard let scalar = value.flatMap(Unicode.Scalar.init), isAllowed(scalar) else { return nil }
        return scalar
    }

    /// Digits alone; `UInt32(_:radix:)` takes signs as well.
    private static func number(_ digits: Substring, radix: Int) -> UInt32? {
        guard digits.allSatisfy({ $0.isASCII && $0.isHexDigit }) else { return nil }
        return UInt32(digits, radix: radix)
    }

    /// Refuses control characters, which XML doesn't have (section 2.2).
    static func check(_ bytes: ArraySlice<UInt8>) throws(XMLError) {
        for index in bytes.indices where bytes[index] < 0x20 {
            let byte = bytes[index]
            guard byte == 0x09 || byte == 0x0A || byte == 0x0D else {
                throw XMLError(.characters, at: index, "a control character")
            }
        }
    }

    private static func isAllowed(_ scalar: Unicode.Scalar) -> Bool {
        switch scalar.value {
        case 0x9, 0xA, 0xD, 0x20...0xD7FF, 0xE000...0xFFFD, 0x10000...0x10FFFF: true
        default: false
        }
    }
}
