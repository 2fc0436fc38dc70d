/// Lines of an address, full names, names of companies: several words, of which some may be missing or moved.
enum WordLevels {
    static let near: UInt8 = 2
    static let alike: UInt8 = 3
    static let different: UInt8 = 4
    static let swapped: UInt8 = 5
    static let halfSwapped: UInt8 = 6

    static let all = [
        ComparisonLevel("equal", 0.70), ComparisonLevel("nearly equal", 0.12), ComparisonLevel("alike", 0.06),
        ComparisonLevel("different", 0.08), ComparisonLevel("swapped", 0.03, ordered: false),
        ComparisonLevel("swapped in part", 0.01, ordered: false),
    ]

    /// Values with most of their words in common have most of their letters in common.
    @inline(__always)
    static func mayAgree(_ a: UInt64, _ b: UInt64) -> Bool {
        Glance.apart(a, b) * 2 <= max(Glance.length(a), Glance.length(b)) || Glance.isPart(a, b)
    }

    static func level(_ a: Int32, _ b: Int32, _ pool: PoolView) -> UInt8 {
        if !mayAgree(pool.glance(a), pool.glance(b)) { return different }
        let apart = pool.apart(a, b)
        let (spanA, spanB) = (pool.text(a), pool.text(b))
        let longer = max(spanA.count, spanB.count)
        if apart * 3 <= longer {
            let edits = EditDistance.between(spanA, spanB)
            if edits <= 1 || edits * 7 <= longer { return near }
            if edits * 4 <= longer { return alike }
        }
        return commonWords(spanA, spanB)
    }

    /// Whether the words of the shorter one are those of the other, in any order, and at least two of them.
    private static func commonWords(_ a: Symbols, _ b: Symbols) -> UInt8 {
        let (wordsA, wordsB) = (WordCut(a), WordCut(b))
        guard wordsA.count > 0, wordsB.count > 0, max(wordsA.count, wordsB.count) > 1 else {
            return different
        }
        var common = 0
        var letters = 0
        var used: UInt32 = 0
        for index in 0..<wordsA.count {
            for other in 0..<wordsB.count where used & 1 << UInt32(other) == 0 {
                let (first, second) = (a.part(wordsA[index]), b.part(wordsB[other]))
                guard same(first, second) else { continue }
                used |= 1 << UInt32(other)
                common += 1
                letters += first.count
                break
            }
        }
        let (fewer, more) = (min(wordsA.count, wordsB.count), max(wordsA.count, wordsB.count))
        if common == more { return near }
        return (common == fewer && common >= 2) || letters * 4 >= max(a.count, b.count) * 3
            ? alike : different
    }

    private static func same(_ a: Symbols, _ b: Symbols) -> Bool {
        guard a.count == b.count else { return false }
        for index in a.indices where a[index] != b[index] { return false }
        return true
    }
}

/// Where the words of a text lie, up to eight of them.
struct WordCut {
    private var bounds = InlineArray<8, Range<Int>>(repeating: 0..<0)
    private(set) var count = 0

    init(_ text: Symbols) {
        var start = 0
        for index in 0...text.count where index == text.count || text[index] == MatchText.separator {
            if index > start, count < 8 {
                bounds[count] = start..<index
                count += 1
            }
            start = index + 1
        }
    }

    subscript(index: Int) -> Range<Int> { bounds[index] }
}
