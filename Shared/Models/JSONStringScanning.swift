extension JSONScanner {
    /// The text of a string whose opening quote has been read.
    mutating func string() throws(JSONError) -> String {
        let start = position
        // In a register: the loop is the parser's hottest.
        var end = start
        var combined: UInt8 = 0
        while end < bytes.count {
            let byte = bytes[end]
            if byte == UInt8(ascii: "\"") {
                position = end + 1
                let content = UnsafeBufferPointer(rebasing: bytes[start..<end])
                // ASCII needs no validation, and the initialiser that validates is slow for short texts.
                if combined < 0x80 { return String(decoding: content, as: UTF8.self) }
                guard let text = String(validating: content, as: UTF8.self) else {
                    throw JSONError(.invalidUTF8, at: start, "the string is not UTF-8")
                }
                return text
            }
            if byte == UInt8(ascii: "\\") || byte < 0x20 { break }
            combined |= byte
            end += 1
        }
        position = end
        guard end < bytes.count else { throw unexpected("the end of the string") }
        guard bytes[end] >= 0x20 else { throw controlCharacter }
        return try stringWithEscapes(from: start)
    }

    private mutating func stringWithEscapes(from start: Int) throws(JSONError) -> String {
        var content = Array(bytes[start..<position])
        while position < bytes.count {
            let byte = bytes[position]
            switch byte {
            case UInt8(ascii: "\""):
                guard let text = String(validating: content, as: UTF8.self) else {
                    throw JSONError(.invalidUTF8, at: start, "the string is not UTF-8")
                }
                position += 1
                return text
            case UInt8(ascii: "\\"): try appendEscape(to: &content)
            case 0..<0x20: throw controlCharacter
            default:
                content.append(byte)
                position += 1
            }
        }
        throw unexpected("the end of the string")
    }

    private mutating func appendEscape(to content: inout [UInt8]) throws(JSONError) {
        let start = position
        position += 1
        if let byte = simpleEscape(current) {
            content.append(byte)
            position += 1
            return
        }
        guard current == UInt8(ascii: "u") else { throw unexpected("an escape") }
        position += 1
        let unit = try fourHexDigits()
        guard unit != 0 else { throw JSONError(.nul, at: start, "\\u0000 cannot be stored") }
        var scalarValue = unit
        if unit & 0xF800 == 0xD800 {
            guard unit < 0xDC00, take(UInt8(ascii: "\\")), take(UInt8(ascii: "u")) else {
                throw JSONError(.loneSurrogate, at: start, "half of a surrogate pair")
            }
            let low = try fourHexDigits()
            guard low & 0xFC00 == 0xDC00 else {
                throw JSONError(.loneSurrogate, at: start, "half of a surrogate pair")
            }
            scalarValue = 0x10000 + (unit - 0xD800) << 10 + (low - 0xDC00)
        }
        guard let scalar = Unicode.Scalar(scalarValue) else {
            throw JSONError(.loneSurrogate, at: start, "half of a surrogate pair")
        }
        content.append(contentsOf: UTF8.encode(scalar) ?? UTF8.encodedReplacementCharacter)
    }

    private func simpleEscape(_ byte: UInt8) -> UInt8? {
        switch byte {
        case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"): byte
        case UInt8(ascii: "b"): 0x08
        case UInt8(ascii: "f"): 0x0C
        case UInt8(ascii: "n"): 0x0A
        case UInt8(ascii: "r"): 0x0D
        case UInt8(ascii: "t"): 0x09
        default: nil
        }
    }

    private mutating func fourHexDigits() throws(JSONError) -> UInt32 {
        var value: UInt32 = 0
        for _ in 0..<4 {
            let digit: UInt8
            switch current {
            case UInt8(ascii: "0")...UInt8(ascii: "9"): digit = current - UInt8(ascii: "0")
            case UInt8(ascii: "a")...UInt8(ascii: "f"): digit = current - UInt8(ascii: "a") + 10
            case UInt8(ascii: "A")...UInt8(ascii: "F"): digit = current - UInt8(ascii: "A") + 10
            default: throw unexpected("four hexadecimal digits")
            }
            value = value << 4 | UInt32(digit)
            position += 1
        }
        return value
    }

    /// Passes over a string whose opening quote has been read; checks its escapes, not its UTF-8.
    mutating func skipString() throws(JSONError) {
        while position < bytes.count {
            let byte = bytes[position]
            if byte < 0x20 { throw controlCharacter }
            position += 1
            if byte == UInt8(ascii: "\"") { return }
            if byte == UInt8(ascii: "\\") {
                if take(UInt8(ascii: "u")) {
                    _ = try fourHexDigits()
                } else if simpleEscape(current) != nil {
                    position += 1
                } else {
                    throw unexpected("an escape")
                }
            }
        }
        throw unexpected("the end of the string")
    }

    private var controlCharacter: JSONError {
        JSONError(.syntax, at: position, "a control character in a string must be escaped")
    }
}
