/// What shows of a value in one word: enough to see of most pairs of values that they are different, without looking
/// at the values, which lie elsewhere in memory.
enum Glance {
    /// The set of the symbols, and the length in the upper six bits.
    static func letters(_ symbols: some Sequence<UInt8>) -> UInt64 {
        var set: UInt64 = 0
        var length: UInt64 = 0
        for symbol in symbols {
            set |= 1 << UInt64(symbol)
            length += 1
        }
        return set & mask | min(63, length) << 58
    }

    /// The first five symbols and the last five, and the length in the upper six bits.
    static func ends(_ symbols: [UInt8]) -> UInt64 {
        var word = UInt64(min(63, symbols.count)) << 58
        for (place, symbol) in symbols.prefix(5).enumerated() {
            word |= UInt64(symbol & 31) << UInt64(place * 5)
        }
        for (place, symbol) in symbols.reversed().prefix(5).enumerated() {
            word |= UInt64(symbol & 31) << UInt64(25 + place * 5)
        }
        return word
    }

    private static let mask: UInt64 = (1 << 58) - 2

    @inline(__always)
    static func length(_ glance: UInt64) -> Int { Int(glance >> 58) }

    /// How many symbols stand in one of the values alone.
    @inline(__always)
    static func apart(_ a: UInt64, _ b: UInt64) -> Int { ((a ^ b) & mask).nonzeroBitCount }

    /// Whether one value has no symbol that the other has not.
    @inline(__always)
    static func isPart(_ a: UInt64, _ b: UInt64) -> Bool { a & ~b & mask == 0 || b & ~a & mask == 0 }

    /// How many symbols the values begin and end with alike, at most five of each.
    @inline(__always)
    static func commonEnds(_ a: UInt64, _ b: UInt64) -> Int {
        let apart = a ^ b
        let first = min(5, apart.trailingZeroBitCount / 5)
        let last = min(5, (apart >> 25).trailingZeroBitCount / 5)
        return first + last
    }
}
