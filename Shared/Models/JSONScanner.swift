/// Reads the tokens of a JSON text in place.
struct JSONScanner {
    let bytes: UnsafeBufferPointer<UInt8>
    var position = 0
    /// The members that no values are made of, by their name and the depth that is left where they stand.
    var passedOver: (name: String, depthLeft: Int)?

    init(_ bytes: UnsafeBufferPointer<UInt8>) { self.bytes = bytes }

    /// The byte at the position; 0, which is in no token, at the end.
    @inline(__always)
    var current: UInt8 { position < bytes.count ? bytes[position] : 0 }

    @inline(__always)
    mutating func skipWhitespace() {
        while position < bytes.count {
            switch bytes[position] {
            case 0x20, 0x09, 0x0A, 0x0D: position += 1
            default: return
            }
        }
    }

    @inline(__always)
    mutating func take(_ byte: UInt8) -> Bool {
        guard position < bytes.count, bytes[position] == byte else { return false }
        position += 1
        return true
    }

    mutating func expect(_ byte: UInt8, _ expected: String) throws(JSONError) {
        guard take(byte) else { throw unexpected(expected) }
    }

    /// Checks that only white space is left.
    mutating func end() throws(JSONError) {
        skipWhitespace()
        guard position == bytes.count else {
            throw JSONError(.trailingContent, at: position, "expected the end, found \(found)")
        }
    }

    func unexpected(_ expected: String) -> JSONError {
        JSONError(.syntax, at: position, "expected \(expected), found \(found)")
    }

    private var found: String {
        guard position < bytes.count else { return "the end" }
        let byte = bytes[position]
        return (0x21..<0x7F).contains(byte)
            ? "'\(Character(Unicode.Scalar(byte)))'" : "byte 0x\(String(byte, radix: 16))"
    }

    // MARK: Values

    mutating func value(depthLeft: Int) throws(JSONError) -> JSON {
        skipWhitespace()
        switch current {
        case UInt8(ascii: "\""):
            position += 1
            return .string(try string())
        case UInt8(ascii: "{"): return try object(depthLeft: depthLeft)
        case UInt8(ascii: "["): return try array(depthLeft: depthLeft)
        case UInt8(ascii: "-"), UInt8(ascii: "0")...UInt8(ascii: "9"):
            return try value(of: try number())
        case UInt8(ascii: "t"):
            try literal("true")
            return .bool(true)
        case UInt8(ascii: "f"):
            try literal("false")
            return .bool(false)
        case UInt8(ascii: "n"):
            try literal("null")
            return .null
        default: throw unexpected("a value")
        }
    }

    private mutating func object(depthLeft: Int) throws(JSONError) -> JSON {
        guard depthLeft > 0 else { throw JSONError(.tooDeep, at: position, "nested too deep") }
        position += 1
        skipWhitespace()
        if take(UInt8(ascii: "}")) { return .object([:]) }
        var members = [String: JSON](minimumCapacity: 6)
        repeat {
            let name = try memberName()
            if let passedOver, depthLeft == passedOver.depthLeft, name == passedOver.name {
                _ = try valueRange()
            } else {
                members[name] = try value(depthLeft: depthLeft - 1)
            }
            skipWhitespace()
        } while take(UInt8(ascii: ","))
        try expect(UInt8(ascii: "}"), "',' or '}'")
        return .object(members)
    }

    private mutating func array(depthLeft: Int) throws(JSONError) -> JSON {
        guard depthLeft > 0 else { throw JSONError(.tooDeep, at: position, "nested too deep") }
        position += 1
        skipWhitespace()
        if take(UInt8(ascii: "]")) { return .array([]) }
        var elements: [JSON] = []
        repeat {
            elements.append(try value(depthLeft: depthLeft - 1))
            skipWhitespace()
        } while take(UInt8(ascii: ","))
        try expect(UInt8(ascii: "]"), "',' or ']'")
        return .array(elements)
    }

    /// The name of a member and the colon after it.
    mutating func memberName() throws(JSONError) -> String {
        skipWhitespace()
        try expect(UInt8(ascii: "\""), "a member name")
        let name = try string()
        skipWhitespace()
        try expect(UInt8(ascii: ":"), "':'")
        return name
    }

    mutating func literal(_ word: StaticString) throws(JSONError) {
        let length = word.utf8CodeUnitCount
        guard position + length <= bytes.count else { throw unexpected("a value") }
        for index in 0..<length where bytes[position + index] != word.utf8Start[index] {
            throw unexpected("a value")
        }
        position += length
    }
}
