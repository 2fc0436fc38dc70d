extension JSONScanner {
    /// Passes over one value and says where it stands. Open containers are kept on the heap, not on the
    /// stack, so nesting is limited by the length of the text alone.
    mutating func valueRange() throws(JSONError) -> Range<Int> {
        skipWhitespace()
        let start = position
        var closers: [UInt8] = []
        repeat {
            try openOrSkipScalar(&closers)
        } while try closeContainers(&closers)
        return start..<position
    }

    /// Reads a scalar, an empty container, or the opening of a container up to its first value.
    private mutating func openOrSkipScalar(_ closers: inout [UInt8]) throws(JSONError) {
        while true {
            skipWhitespace()
            switch current {
            case UInt8(ascii: "{"):
                position += 1
                skipWhitespace()
                if take(UInt8(ascii: "}")) { return }
                closers.append(UInt8(ascii: "}"))
                try skipMemberName()
            case UInt8(ascii: "["):
                position += 1
                skipWhitespace()
                if take(UInt8(ascii: "]")) { return }
                closers.append(UInt8(ascii: "]"))
            case UInt8(ascii: "\""):
                position += 1
                return try skipString()
            case UInt8(ascii: "-"), UInt8(ascii: "0")...UInt8(ascii: "9"):
                _ = try number()
                return
            case UInt8(ascii: "t"): return try literal("true")
            case UInt8(ascii: "f"): return try literal("false")
            case UInt8(ascii: "n"): return try literal("null")
            default: throw unexpected("a value")
            }
        }
    }

    /// After a value: reads the closings that follow and a comma; false when nothing is open any more.
    private mutating func closeContainers(_ closers: inout [UInt8]) throws(JSONError) -> Bool {
        while let closer = closers.last {
            skipWhitespace()
            if take(closer) {
                closers.removeLast()
                continue
            }
            guard take(UInt8(ascii: ",")) else {
                throw unexpected(closer == UInt8(ascii: "}") ? "',' or '}'" : "',' or ']'")
            }
            if closer == UInt8(ascii: "}") { try skipMemberName() }
            return true
        }
        return false
    }

    private mutating func skipMemberName() throws(JSONError) {
        skipWhitespace()
        try expect(UInt8(ascii: "\""), "a member name")
        try skipString()
        skipWhitespace()
        try expect(UInt8(ascii: ":"), "':'")
    }
}
