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
        return ParsedValue(symbols: symbols, key: isPlain ? MatchText.text(symbols) : value.key)
    }

    static func level(_ a: Int32, _ b: Int32, _ pool: PoolView) -> UInt8 {
        let apart = (pool.signatures[Int(a)] ^ pool.signatures[Int(b)]).nonzeroBitCount
        if apart > 4 { return different }
        let (lengthA, lengthB) = (pool.length(a), pool.length(b))
        if abs(lengthA - lengthB) > 2 { return different }
        let edits = EditDistance.between(
            pool.text(a), pool.text(b))
        if edits == 1, min(lengthA, lengthB) > 1 { return oneEdit }
        return edits == 2 && min(lengthA, lengthB) > 4 ? twoEdits : different
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
        return ParsedValue(symbols: last, key: MatchText.text(last))
    }

    static func level(_ a: Int32, _ b: Int32, _ pool: PoolView) -> UInt8 { CodeLevels.level(a, b, pool) }
}
