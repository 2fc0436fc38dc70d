/// Names of people.
enum NameLevels {
    static let oneEdit: UInt8 = 2
    static let alike: UInt8 = 3
    static let different: UInt8 = 4
    static let initial: UInt8 = 5
    static let swapped: UInt8 = 6
    static let halfSwapped: UInt8 = 7

    static let all = [
        ComparisonLevel("equal", 0.78), ComparisonLevel("one letter apart", 0.08),
        ComparisonLevel("alike", 0.05), ComparisonLevel("different", 0.05),
        ComparisonLevel("initial", 0.01, ordered: false), ComparisonLevel("swapped", 0.02, ordered: false),
        ComparisonLevel("swapped in part", 0.01, ordered: false),
    ]

    /// Names that are alike have most of their letters in common; the sets of letters tell most that are not.
    @inline(__always)
    static func mayAgree(_ a: UInt64, _ b: UInt64) -> Bool {
        let (lengthA, lengthB) = (Glance.length(a), Glance.length(b))
        return min(lengthA, lengthB) == 1 || Glance.apart(a, b) * 5 <= max(lengthA, lengthB) * 3 + 2
    }

    static func level(_ a: Int32, _ b: Int32, _ pool: PoolView) -> UInt8 {
        let (lengthA, lengthB) = (pool.length(a), pool.length(b))
        let longer = max(lengthA, lengthB)
        if min(lengthA, lengthB) == 1 {
            return pool.text(a)[0] == pool.text(b)[0]
                ? initial : different
        }
        let apart = pool.apart(a, b)
        if !mayAgree(pool.glance(a), pool.glance(b)) { return different }
        let (spanA, spanB) = (pool.text(a), pool.text(b))
        if abs(lengthA - lengthB) <= 1 || apart <= 2 {
            let edits = EditDistance.between(spanA, spanB)
            if edits <= 1, longer > 2 { return oneEdit }
            if edits == 2, longer > 4 { return alike }
        }
        if JaroWinkler.similarity(spanA, spanB) >= 0.85 { return alike }
        return Scrambled.isLikely(spanA, spanB) ? alike : different
    }
}

/// Names of places.
enum PlaceLevels {
    static let all = [
        ComparisonLevel("equal", 0.82), ComparisonLevel("one letter apart", 0.07),
        ComparisonLevel("alike", 0.04), ComparisonLevel("different", 0.07),
    ]

    static func level(_ a: Int32, _ b: Int32, _ pool: PoolView) -> UInt8 {
        min(NameLevels.level(a, b, pool), NameLevels.different)
    }
}

/// The letters of a word in another order: `serguFon`.
enum Scrambled {
    /// Whether the texts have at least four letters, all but one of the longer one in common.
    static func isLikely(_ a: Symbols, _ b: Symbols) -> Bool {
        guard min(a.count, b.count) >= 4, abs(a.count - b.count) <= 1 else { return false }
        var counts = InlineArray<64, Int8>(repeating: 0)
        for index in a.indices { counts[Int(a[index] & 63)] += 1 }
        var missing = 0
        for index in b.indices {
            counts[Int(b[index] & 63)] -= 1
            if counts[Int(b[index] & 63)] < 0 { missing += 1 }
        }
        return missing <= 1 && max(a.count, b.count) - (b.count - missing) <= 1
    }
}
