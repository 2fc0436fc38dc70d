/// How two values of a field are compared: each kind has its levels, from equal to different.
package enum Comparator: Sendable, CaseIterable {
    case name, place, words, date, number, category, code, phone, email

    /// The levels in order of likeness; those after `different` stand outside of the order. 0 is kept for pairs of which
    /// one has no value, which say nothing.
    package var levels: [ComparisonLevel] {
        switch self {
        case .name: NameLevels.all
        case .place: PlaceLevels.all
        case .words: WordLevels.all
        case .date: DateLevels.all
        case .number: NumberLevels.all
        case .category: CategoryLevels.all
        case .code: CodeLevels.all
        case .phone: PhoneLevels.all
        case .email: EmailLevels.all
        }
    }

    /// The level at which two different values of the pool agree.
    @inline(__always)
    func level(_ a: Int32, _ b: Int32, in pool: PoolView) -> UInt8 {
        switch self {
        case .name: NameLevels.level(a, b, pool)
        case .place: PlaceLevels.level(a, b, pool)
        case .words: WordLevels.level(a, b, pool)
        case .date: DateLevels.level(a, b, pool)
        case .number: NumberLevels.level(a, b, pool)
        case .category: CategoryLevels.different
        case .code: CodeLevels.level(a, b, pool)
        case .phone: PhoneLevels.level(a, b, pool)
        case .email: EmailLevels.level(a, b, pool)
        }
    }

    func parse(_ text: String, _ order: DateOrder) -> ParsedValue? {
        switch self {
        case .date: DateLevels.parse(text, order)
        case .phone: PhoneLevels.parse(text)
        case .email: EmailLevels.parse(text)
        case .code: CodeLevels.parse(text)
        case .number: NumberLevels.parse(text)
        case .name, .place, .words, .category:
            MatchText.normalise(text).map {
                ParsedValue(symbols: $0.symbols, key: $0.key, glance: Glance.letters($0.symbols))
            }
        }
    }

    /// Whether two values may agree at a level better than different, from what shows of them at first sight.
    @inline(__always)
    func mayAgree(_ a: UInt64, _ b: UInt64) -> Bool {
        switch self {
        case .name, .place: NameLevels.mayAgree(a, b)
        case .words: WordLevels.mayAgree(a, b)
        case .code, .phone: CodeLevels.mayAgree(a, b)
        case .email: EmailLevels.mayAgree(a, b)
        case .date: DateLevels.level(a, b) != DateLevels.different
        case .number: true
        case .category: false
        }
    }

    /// The last of the levels that are in order.
    var different: UInt8 {
        switch self {
        case .name, .place: NameLevels.different
        case .words: WordLevels.different
        case .date: DateLevels.different
        case .number: NumberLevels.different
        case .category: CategoryLevels.different
        case .code, .phone: CodeLevels.different
        case .email: EmailLevels.different
        }
    }
}

/// How well two values of a field agree.
package struct ComparisonLevel: Sendable, Hashable {
    package let name: String
    /// What is thought of the level's share among pairs of one person before any pair was seen.
    let expected: Double
    /// Whether it stands in the order of likeness, in which a better level never weighs less.
    let ordered: Bool

    init(_ name: String, _ expected: Double, ordered: Bool = true) {
        (self.name, self.expected, self.ordered) = (name, expected, ordered)
    }
}

/// Every comparator's first level.
enum ExactLevel {
    static let missing: UInt8 = 0
    static let equal: UInt8 = 1
}
