/// Postcodes, house numbers, and numbers that a state gives to a person.
enum CodeLevels {
    static let oneEdit: UInt8 = 2
    static let twoEdits: UInt8 = 3
    static let different: UInt8 = 4

    static let all = [
        ComparisonLevel("equal", 0.84), ComparisonLevel("one character apart", 0.07),
        ComparisonLevel("two characters apart", 0.02), ComparisonLevel("different", 0.07),
    ]

    /// What divides a code says nothing: SW1A 1AA is SW1A1AA.
    static func parse(_ text: String) -> ParsedValue? {
        guard let value = MatchText.normalise(text) else { return nil }
        let symbols = value.symbols.filter { $0 != MatchText.separator }
        let isPlain = symbols.allSatisfy { $0 < MatchText.separator }
        return ParsedValue(
            symbols: symbols, key: isPlain ? nil : value.key, glance: Glance.ends(symbols))
    }

    /// A slip leaves the ends as they are; two slips mostly leave one of them.
    @inline(__always)
    static func mayAgree(_ a: UInt64, _ b: UInt64) -> Bool {
        let (lengthA, lengthB) = (Glance.length(a), Glance.length(b))
        let shorter = min(lengthA, lengthB)
        let ends = Glance.commonEnds(a, b)
        return shorter > 1 && abs(lengthA - lengthB) <= 2 && (ends >= 5 || ends * 3 >= shorter)
    }

    static func level(_ a: Int32, _ b: Int32, _ pool: PoolView) -> UInt8 {
        guard mayAgree(pool.glance(a), pool.glance(b)) else { return different }
        let (textA, textB) = (pool.text(a), pool.text(b))
        let shorter = min(textA.count, textB.count)
        guard CommonEnds.length(textA, textB) * 3 >= shorter else { return different }
        let edits = EditDistance.between(textA, textB)
        if edits == 1 { return oneEdit }
        return edits == 2 && shorter > 4 ? twoEdits : different
    }
}

/// What two texts begin and end with.
enum CommonEnds {
    static func length(_ a: Symbols, _ b: Symbols) -> Int {
        let shorter = min(a.count, b.count)
        var first = 0
        while first < shorter, a[first] == b[first] { first += 1 }
        var last = 0
        while last < shorter - first, a[a.count - 1 - last] == b[b.count - 1 - last] { last += 1 }
        return first + last
    }
}

/// Telephone numbers, by their last nine digits: whatever stands before is a way of dialling.
enum PhoneLevels {
    static let all = [
        ComparisonLevel("equal", 0.82), ComparisonLevel("one digit apart", 0.06),
        ComparisonLevel("two digits apart", 0.02), ComparisonLevel("different", 0.10),
    ]

    static func parse(_ text: String) -> ParsedValue? {
        guard let value = MatchText.normalise(text) else { return nil }
        let digits = value.symbols.filter(MatchText.isDigit)
        guard digits.count >= 4 else { return nil }
        let last = Array(digits.suffix(9))
        return ParsedValue(symbols: last, glance: Glance.ends(last))
    }

    static func level(_ a: Int32, _ b: Int32, _ pool: PoolView) -> UInt8 { CodeLevels.level(a, b, pool) }
}
