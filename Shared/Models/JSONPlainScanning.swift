/// Finds the members of an object whose text can be taken over as it stands, without making values of it.
///
/// Plain is what `JSONParser` would accept for certain and nothing has to be done about: strict RFC 8259 in UTF-8,
/// without `\u` escapes (surrogates, `\u0000`), without exponents and very long numbers (range). Whatever else there
/// is gives nil, also where it is good, and is the parser's to judge.
package struct PlainJSON {
    private let bytes: UnsafeBufferPointer<UInt8>
    private var position = 0
    private var combined: UInt8 = 0

    private init(_ bytes: UnsafeBufferPointer<UInt8>) { self.bytes = bytes }

    /// Calls `member` with the places of each name (without its quotes) and value. False when the text is not a plain
    /// object, or `member` returned false.
    package static func members(
        of bytes: UnsafeBufferPointer<UInt8>, maxDepth: Int,
        _ member: (_ name: Range<Int>, _ value: Range<Int>) -> Bool
    ) -> Bool {
        var scanner = PlainJSON(bytes)
        guard scanner.members(maxDepth: maxDepth, member) else { return false }
        return scanner.combined < 0x80 || String(validating: bytes, as: UTF8.self) != nil
    }

    private mutating func members(maxDepth: Int, _ member: (Range<Int>, Range<Int>) -> Bool) -> Bool {
        skipWhitespace()
        guard maxDepth > 0, take(UInt8(ascii: "{")) else { return false }
        skipWhitespace()
        if !take(UInt8(ascii: "}")) {
            repeat {
                skipWhitespace()
                let name = position + 1
                guard skipString() else { return false }
                let end = position - 1
                skipWhitespace()
                guard take(UInt8(ascii: ":")) else { return false }
                skipWhitespace()
                let value = position
                guard skipValue(maxDepth - 1), member(name..<end, value..<position) else { return false }
                skipWhitespace()
            } while take(UInt8(ascii: ","))
            guard take(UInt8(ascii: "}")) else { return false }
        }
        skipWhitespace()
        return position == bytes.count
    }

    @inline(__always)
    private mutating func skipWhitespace() {
        while position < bytes.count {
            switch bytes[position] {
            case 0x20, 0x09, 0x0A, 0x0D: position += 1
            default: return
            }
        }
    }

    @inline(__always)
    private mutating func take(_ byte: UInt8) -> Bool {
        guard position < bytes.count, bytes[position] == byte else { return false }
        position += 1
        return true
    }

    private mutating func skipString() -> Bool {
        guard take(UInt8(ascii: "\"")) else { return false }
        // In a register: the loop is the scanner's hottest.
        var end = position
        var combined: UInt8 = 0
        defer {
            position = end
            self.combined |= combined
        }
        while end < bytes.count {
            let byte = bytes[end]
            end += 1
            if byte == UInt8(ascii: "\"") { return true }
            if byte < 0x20 { return false }
            combined |= byte
            if byte == UInt8(ascii: "\\") {
                guard end < bytes.count, Self.isSimpleEscape(bytes[end]) else { return false }
                end += 1
            }
        }
        return false
    }

    private static func isSimpleEscape(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"), UInt8(ascii: "b"), UInt8(ascii: "f"),
            UInt8(ascii: "n"), UInt8(ascii: "r"), UInt8(ascii: "t"):
            true
        default: false
        }
    }

    private mutating func skipValue(_ depthLeft: Int) -> Bool {
        guard position < bytes.count else { return false }
        switch bytes[position] {
        case UInt8(ascii: "\""): return skipString()
        case UInt8(ascii: "{"): return skipObject(depthLeft)
        case UInt8(ascii: "["): return skipArray(depthLeft)
        case UInt8(ascii: "t"): return skip("true")
        case UInt8(ascii: "f"): return skip("false")
        case UInt8(ascii: "n"): return skip("null")
        default: return skipNumber()
        }
    }

    private mutating func skipObject(_ depthLeft: Int) -> Bool {
        guard depthLeft > 0 else { return false }
        position += 1
        skipWhitespace()
        if take(UInt8(ascii: "}")) { return true }
        repeat {
            skipWhitespace()
            guard skipString() else { return false }
            skipWhitespace()
            guard take(UInt8(ascii: ":")) else { return false }
            skipWhitespace()
            guard skipValue(depthLeft - 1) else { return false }
            skipWhitespace()
        } while take(UInt8(ascii: ","))
        return take(UInt8(ascii: "}"))
    }

    private mutating func skipArray(_ depthLeft: Int) -> Bool {
        guard depthLeft > 0 else { return false }
        position += 1
        skipWhitespace()
        if take(UInt8(ascii: "]")) { return true }
        repeat {
            skipWhitespace()
            guard skipValue(depthLeft - 1) else { return false }
            skipWhitespace()
        } while take(UInt8(ascii: ","))
        return take(UInt8(ascii: "]"))
    }

    private mutating func skip(_ word: StaticString) -> Bool {
        let length = word.utf8CodeUnitCount
        guard position + length <= bytes.count else { return false }
        for index in 0..<length where bytes[position + index] != word.utf8Start[index] { return false }
        position += length
        return true
    }

    private mutating func skipNumber() -> Bool {
        let start = position
        _ = take(UInt8(ascii: "-"))
        if take(UInt8(ascii: "0")) {
            guard !isDigit else { return false }
        } else {
            guard skipDigits() else { return false }
        }
        if take(UInt8(ascii: ".")), !skipDigits() { return false }
        if position < bytes.count, bytes[position] | 0x20 == UInt8(ascii: "e") { return false }
        return position - start <= 30
    }

    private var isDigit: Bool { position < bytes.count && bytes[position] &- 48 < 10 }

    private mutating func skipDigits() -> Bool {
        guard isDigit else { return false }
        repeat { position += 1 } while isDigit
        return true
    }
}
