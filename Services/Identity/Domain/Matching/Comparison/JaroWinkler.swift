/// How much two names look alike, from 0 to 1: Jaro's share of common letters and their order (1989), with Winkler's
/// bonus for a common beginning ("String comparator metrics and enhanced decision rules in the Fellegi–Sunter model of
/// record linkage", 1990), a tenth of the rest for each of up to four letters. The bonus is given always, as in
/// Winkler's own tables, not above 0.7 alone.
package enum JaroWinkler {
    static func similarity(_ a: Symbols, _ b: Symbols) -> Double {
        let jaro = jaro(a, b)
        var prefix = 0
        while prefix < 4, prefix < a.count, prefix < b.count, a[prefix] == b[prefix] { prefix += 1 }
        return jaro + Double(prefix) * 0.1 * (1 - jaro)
    }

    static func jaro(_ a: Symbols, _ b: Symbols) -> Double {
        if a.isEmpty || b.isEmpty { return a.count == b.count ? 1 : 0 }
        var masks = SymbolMasks()
        masks.set(b)
        let window = max(0, max(a.count, b.count) / 2 - 1)
        var matchedA: UInt64 = 0
        var matchedB: UInt64 = 0
        for index in a.indices {
            let low = max(0, index - window)
            guard low < b.count else { break }
            let high = min(b.count - 1, index + window)
            let reach = (UInt64.max >> UInt64(63 - (high - low))) << UInt64(low)
            let open = masks[a[index]] & reach & ~matchedB
            if open != 0 {
                matchedB |= open & (~open &+ 1)
                matchedA |= 1 << UInt64(index)
            }
        }
        let common = matchedA.nonzeroBitCount
        if common == 0 { return 0 }
        var outOfOrder = 0
        var restA = matchedA
        var restB = matchedB
        while restA != 0 {
            if a[restA.trailingZeroBitCount] != b[restB.trailingZeroBitCount] { outOfOrder += 1 }
            restA &= restA &- 1
            restB &= restB &- 1
        }
        let m = Double(common)
        return (m / Double(a.count) + m / Double(b.count) + (m - Double(outOfOrder / 2)) / m) / 3
    }

    /// For two words of plain text.
    package static func similarity(_ a: String, _ b: String) -> Double {
        MatchText.symbols(a).withUnsafeBufferPointer { first in
            MatchText.symbols(b).withUnsafeBufferPointer { second in similarity(first, second) }
        }
    }
}
