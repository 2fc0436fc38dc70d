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
            return MatchText.normalise(text).map { ParsedValue(symbols: $0.symbols, key: $0.key, glance: 0) }
        }
        let packed = date.packed
        // The first digit is the highest.
        let symbols = (0..<8).map { UInt8(packed >> (60 - 4 * $0) & 15) + 27 }
        return ParsedValue(symbols: symbols, glance: packed, detail: packed)
    }

    static func level(_ a: Int32, _ b: Int32, _ pool: PoolView) -> UInt8 {
        let (first, second) = (pool.glance(a), pool.glance(b))
        return first != 0 && second != 0 ? level(first, second) : written(a, b, pool)
    }

    /// For dates as words; texts that are no dates may agree at any level.
    static func level(_ first: UInt64, _ second: UInt64) -> UInt8 {
        guard first != 0, second != 0 else { return slip }
        let (one, other) = (CalendarDate(packed: first), CalendarDate(packed: second))
        let equal =
            (one.year == other.year ? 1 : 0) + (one.month == other.month ? 1 : 0)
            + (one.day == other.day ? 1 : 0)
        if one.year == other.year, one.month == other.day, one.day == other.month { return slip }
        let slips = slips(first, second)
        if slips == 1 { return slip }
        if equal == 2 { return near }
        let days = (one.year - other.year) * 360 + (one.month - other.month) * 30 + one.day - other.day
        if abs(days) <= 31 { return near }
        if slips == 2 { return twoSlips }
        return abs(one.year - other.year) <= 1 ? sameYear : different
    }

    /// How many digits were mistaken, or swapped with their neighbour. The digits are the upper half of the words.
    private static func slips(_ a: UInt64, _ b: UInt64) -> Int {
        let apart = (a ^ b) >> 32
        if apart == 0 { return 0 }
        let places = (apart | apart >> 1 | apart >> 2 | apart >> 3) & 0x1111_1111
        let count = places.nonzeroBitCount
        guard count == 2 else { return count }
        let low = UInt64(places.trailingZeroBitCount)
        guard places >> low == 0x11 else { return 2 }
        let (pairA, pairB) = (a >> (32 + low) & 0xFF, b >> (32 + low) & 0xFF)
        return pairA >> 4 == pairB & 15 && pairA & 15 == pairB >> 4 ? 1 : 2
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
        ComparisonLevel("equal", 0.85), ComparisonLevel("one apart", 0.06),
        ComparisonLevel("one slip apart", 0.03),
        ComparisonLevel("within five", 0.02), ComparisonLevel("different", 0.04),
    ]

    static func parse(_ text: String) -> ParsedValue? {
        guard let value = MatchText.normalise(text) else { return nil }
        // The whole part, where a program has written an age with a fraction.
        let whole = value.symbols.prefix { $0 != MatchText.separator }
        guard whole.allSatisfy(MatchText.isDigit), whole.count <= 9 else {
            return ParsedValue(symbols: value.symbols, key: value.key, glance: 0)
        }
        let number = whole.reduce(0) { $0 * 10 + UInt64($1 - 27) }
        return ParsedValue(
            symbols: MatchText.symbols(String(number)), glance: 0, detail: number + 1)
    }

    static func level(_ a: Int32, _ b: Int32, _ pool: PoolView) -> UInt8 {
        let (first, second) = (Int64(pool.detail(a)), Int64(pool.detail(b)))
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
