/// PostgreSQL's text form of one-dimensional arrays: `{"a","b \" c",NULL}`.
enum ArrayLiteral {
    static func text(_ elements: some Sequence<String?>) -> String {
        var bytes: [UInt8] = [UInt8(ascii: "{")]
        var isFirst = true
        for element in elements {
            if !isFirst { bytes.append(UInt8(ascii: ",")) }
            isFirst = false
            guard let element else {
                bytes.append(contentsOf: "NULL".utf8)
                continue
            }
            // Everything is quoted: so the word NULL, empty strings, braces and blanks need no thought.
            bytes.append(UInt8(ascii: "\""))
            for byte in element.utf8 {
                if byte == UInt8(ascii: "\"") || byte == UInt8(ascii: "\\") {
                    bytes.append(UInt8(ascii: "\\"))
                }
                bytes.append(byte)
            }
            bytes.append(UInt8(ascii: "\""))
        }
        bytes.append(UInt8(ascii: "}"))
        return String(decoding: bytes, as: UTF8.self)
    }

    static func elements(of text: String) throws -> [String?] {
        let bytes = Array(text.utf8)
        guard bytes.first == UInt8(ascii: "{"), bytes.last == UInt8(ascii: "}"), bytes.count >= 2 else {
            throw PostgresDecodingFailure("is no one-dimensional array")
        }
        var elements: [String?] = []
        var index = 1
        let end = bytes.count - 1
        while index < end {
            let (element, next) = try self.element(in: bytes, from: index, to: end)
            elements.append(element)
            index = next
            if index < end {
                guard bytes[index] == UInt8(ascii: ",") else { throw PostgresDecodingFailure("is no array") }
                index += 1
            }
        }
        return elements
    }

    private static func element(
        in bytes: [UInt8], from start: Int, to end: Int
    ) throws -> (element: String?, next: Int) {
        var index = start
        var content: [UInt8] = []
        if bytes[index] == UInt8(ascii: "\"") {
            index += 1
            while index < end, bytes[index] != UInt8(ascii: "\"") {
                if bytes[index] == UInt8(ascii: "\\") { index += 1 }
                guard index < end else { break }
                content.append(bytes[index])
                index += 1
            }
            guard index < end else { throw PostgresDecodingFailure("is no array") }
            return (String(decoding: content, as: UTF8.self), index + 1)
        }
        while index < end, bytes[index] != UInt8(ascii: ",") {
            guard bytes[index] != UInt8(ascii: "{") else {
                throw PostgresDecodingFailure("is an array of several dimensions")
            }
            if bytes[index] == UInt8(ascii: "\\") { index += 1 }
            guard index < end else { break }
            content.append(bytes[index])
            index += 1
        }
        let word = String(decoding: content, as: UTF8.self)
        return (word == "NULL" ? nil : word, index)
    }
}

/// PostgreSQL's hexadecimal form of `bytea`.
enum Hex {
    private static let digits = Array("0123456789abcdef".utf8)

    static func bytea(_ bytes: some Collection<UInt8>) -> String {
        var text: [UInt8] = Array("\\x".utf8)
        text.reserveCapacity(2 + bytes.count * 2)
        for byte in bytes {
            text.append(digits[Int(byte >> 4)])
            text.append(digits[Int(byte & 15)])
        }
        return String(decoding: text, as: UTF8.self)
    }

    static func bytes(bytea text: String) throws -> [UInt8] {
        var text = text
        return try text.withUTF8 { utf8 in
            guard utf8.count >= 2, utf8.count % 2 == 0, utf8[0] == UInt8(ascii: "\\"),
                utf8[1] == UInt8(ascii: "x")
            else { throw PostgresDecodingFailure("is no bytea in hexadecimal form") }
            var bytes: [UInt8] = []
            bytes.reserveCapacity(utf8.count / 2 - 1)
            var index = 2
            while index < utf8.count {
                guard let high = value(utf8[index]), let low = value(utf8[index + 1]) else {
                    throw PostgresDecodingFailure("is no bytea in hexadecimal form")
                }
                bytes.append(high << 4 | low)
                index += 2
            }
            return bytes
        }
    }

    private static func value(_ digit: UInt8) -> UInt8? {
        switch digit {
        case UInt8(ascii: "0")...UInt8(ascii: "9"): digit - UInt8(ascii: "0")
        case UInt8(ascii: "a")...UInt8(ascii: "f"): digit - UInt8(ascii: "a") + 10
        default: nil
        }
    }
}
