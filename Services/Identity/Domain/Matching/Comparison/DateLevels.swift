/// Dates of birth.
enum DateLevels {
    static let slip: UInt8 = 2
    static let near: UInt8 = 3
    static let twoSlips: UInt8 = 4
    static let sameYear: UInt8 = 5
    static let different: UInt8 = 6

    static let all = [
        ComparisonLevel("equal", 0.82), ComparisonLevel("one slip apart", 0.08),
        ComparisonLevel("two of day, month and year", 0.03), ComparisonLevel("two slips apart", 0.02),
        ComparisonLevel("same or next year", 0.02), ComparisonLevel("different", 0.03),
    ]

    static func parse(_ text: String, _ order: DateOrder) -> ParsedValue? {
        guard let date = CalendarDate(text, order: order) else {
            return MatchText.normalise(text).map { ParsedValue(symbols: $0.symbols, key: $0.key) }
        }
        let digits = date.digits
        return ParsedValue(symbols: MatchText.symbols(digits), key: digits, detail: date.packed)
    }

    static func level(_ a: Int32, _ b: Int32, _ pool: PoolView) -> UInt8 {
        let (first, second) = (pool.details[Int(a)], pool.details[Int(b)])
        guard first != 0, second != 0 else { return written(a, b, pool) }
        let (yearA, monthA, dayA) = (Int(first >> 16), Int(first >> 8 & 255), Int(first & 255))
        let (yearB, monthB, dayB) = (Int(second >> 16), Int(second >> 8 & 255), Int(second & 255))
        let equal = (yearA == yearB ? 1 : 0) + (monthA == monthB ? 1 : 0) + (dayA == dayB ? 1 : 0)
        if yearA == yearB, monthA == dayB, dayA == monthB { return slip }
        let apart = (pool.signatures[Int(a)] ^ pool.signatures[Int(b)]).nonzeroBitCount
        if apart <= 4 {
            let edits = EditDistance.between(
                pool.text(a), pool.text(b))
            if edits == 1 { return slip }
            if equal == 2 { return near }
            let days = abs((yearA * 12 + monthA - yearB * 12 - monthB) * 30 + dayA - dayB)
            if days <= 31 { return near }
            if edits == 2 { return twoSlips }
        } else if equal == 2 {
            return near
        }
        return abs(yearA - yearB) <= 1 ? sameYear : different
    }

    /// Texts that are no dates.
    private static func written(_ a: Int32, _ b: Int32, _ pool: PoolView) -> UInt8 {
        let edits = EditDistance.between(
            pool.text(a), pool.text(b))
        return edits <= 1 ? slip : edits == 2 ? twoSlips : different
    }
}

/// Years and ages.
enum NumberLevels {
    static let different: UInt8 = 5

    static let all = [
        ComparisonLevel("equal", 0.85), ComparisonLevel("one apart", 0.06), ComparisonLevel("one slip apart", 0.03),
        ComparisonLevel("within five", 0.02), ComparisonLevel("different", 0.04),
    ]

    static func parse(_ text: String) -> ParsedValue? {
        guard let value = MatchText.normalise(text) else { return nil }
        // The whole part, where a program has written an age with a fraction.
        let whole = value.symbols.prefix { $0 != MatchText.separator }
        guard whole.allSatisfy(MatchText.isDigit), whole.count <= 9 else {
            return ParsedValue(symbols: value.symbols, key: value.key)
        }
        let number = whole.reduce(0) { $0 * 10 + UInt64($1 - 27) }
        return ParsedValue(symbols: MatchText.symbols(String(number)), key: String(number), detail: number + 1)
    }

    static func level(_ a: Int32, _ b: Int32, _ pool: PoolView) -> UInt8 {
        let (first, second) = (Int64(pool.details[Int(a)]), Int64(pool.details[Int(b)]))
        guard first != 0, second != 0 else { return different }
        let apart = abs(first - second)
        if apart == 1 { return 2 }
        let edits = EditDistance.between(
            pool.text(a), pool.text(b))
        if edits == 1, pool.length(a) > 1 { return 3 }
        return apart <= 5 ? 4 : different
    }
}

/// A few values, equal or not.
enum CategoryLevels {
    static let different: UInt8 = 2
    static let all = [ComparisonLevel("equal", 0.95), ComparisonLevel("different", 0.05)]
}
