/// E-mail addresses, which are compared whole and by the part before the at sign.
enum EmailLevels {
    static let near: UInt8 = 2
    static let sameLocal: UInt8 = 3
    static let likeLocal: UInt8 = 4
    static let different: UInt8 = 5

    static let all = [
        ComparisonLevel("equal", 0.75), ComparisonLevel("two characters apart", 0.08),
        ComparisonLevel("same before the @", 0.04), ComparisonLevel("alike before the @", 0.03),
        ComparisonLevel("different", 0.10),
    ]

    /// The detail is the number of symbols before the at sign; a mangled address may have none.
    static func parse(_ text: String) -> ParsedValue? {
        guard let value = MatchText.normalise(text) else { return nil }
        let read = text.unicodeScalars.prefix(256)
        let local =
            read.lastIndex(of: "@").flatMap { MatchText.normalise(String(read[..<$0]))?.symbols.count } ?? 0
        return ParsedValue(
            symbols: value.symbols, key: value.key, glance: Glance.letters(value.symbols.prefix(local)),
            detail: UInt64(local))
    }

    /// By the part before the at sign, where there is one.
    @inline(__always)
    static func mayAgree(_ a: UInt64, _ b: UInt64) -> Bool {
        Glance.apart(a, b) <= 4 || Glance.length(a) == 0 || Glance.length(b) == 0
    }

    static func level(_ a: Int32, _ b: Int32, _ pool: PoolView) -> UInt8 {
        guard mayAgree(pool.glance(a), pool.glance(b)) else { return different }
        let (textA, textB) = (pool.text(a), pool.text(b))
        if abs(textA.count - textB.count) <= 2, CommonEnds.length(textA, textB) * 3 >= textA.count {
            let edits = EditDistance.between(textA, textB)
            if edits <= 2 { return near }
            if edits <= 4, max(textA.count, textB.count) >= 16 { return likeLocal }
        }
        let (localA, localB) = (Int(pool.detail(a)), Int(pool.detail(b)))
        guard localA > 0, localB > 0, abs(localA - localB) <= 1 else { return different }
        let (partA, partB) = (
            textA.part(0..<min(textA.count, localA)), textB.part(0..<min(textB.count, localB))
        )
        // One slip leaves all but two symbols at the ends.
        guard CommonEnds.length(partA, partB) + 2 >= min(partA.count, partB.count) else { return different }
        let edits = EditDistance.between(partA, partB)
        if edits == 0 { return sameLocal }
        return edits == 1 && min(localA, localB) >= 5 ? likeLocal : different
    }
}
