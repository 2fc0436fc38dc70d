/// How many letters have to be put in, left out, exchanged or swapped with their neighbour to make one text the other.
///
/// The optimal string alignment distance (Damerau 1964), a column of the matrix at a time in the bits of one word:
/// Hyyrö, "A bit-vector algorithm for computing Levenshtein and Damerau edit distances" (2003). Texts of up to 64
/// symbols.
package enum EditDistance {
    static func between(_ a: Symbols, _ b: Symbols) -> Int {
        if a.isEmpty { return b.count }
        if b.isEmpty { return a.count }
        var masks = SymbolMasks()
        masks.set(a)
        var positive = UInt64.max
        var negative: UInt64 = 0
        var diagonal: UInt64 = 0
        var previous: UInt64 = 0
        var score = a.count
        let last = UInt64(1) << UInt64(a.count - 1)
        for index in b.indices {
            let here = masks[b[index]]
            let transposed = ((~diagonal & here) << 1) & previous
            diagonal = (((here & positive) &+ positive) ^ positive) | here | negative | transposed
            var up = negative | ~(diagonal | positive)
            let down = diagonal & positive
            if up & last != 0 { score += 1 } else if down & last != 0 { score -= 1 }
            up = up << 1 | 1
            negative = up & diagonal
            positive = (down << 1) | ~(diagonal | up)
            previous = here
        }
        return score
    }

    /// For two words of plain text.
    package static func between(_ a: String, _ b: String) -> Int {
        MatchText.symbols(a).withUnsafeBufferPointer { first in
            MatchText.symbols(b).withUnsafeBufferPointer { second in between(first, second) }
        }
    }
}

/// For each symbol, the positions at which it stands in a text.
struct SymbolMasks {
    private var words = InlineArray<64, UInt64>(repeating: 0)

    mutating func set(_ text: Symbols) {
        var bit: UInt64 = 1
        for index in text.indices {
            words[Int(text[index] & 63)] |= bit
            bit <<= 1
        }
    }

    @inline(__always)
    subscript(symbol: UInt8) -> UInt64 { words[Int(symbol & 63)] }
}
