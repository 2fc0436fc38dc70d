/// The levels of agreement of two records, four bits for each column.
struct MatchPattern: Hashable, Sendable {
    var bits: UInt64 = 0

    @inline(__always)
    subscript(column: Int) -> UInt8 {
        get { UInt8(truncatingIfNeeded: bits >> UInt64(column * 4)) & 15 }
        set { bits = bits & ~(15 << UInt64(column * 4)) | UInt64(newValue) << UInt64(column * 4) }
    }
}

/// Compares records of a table.
struct PairComparison: Sendable {
    /// Two columns that may have been swapped for each other.
    struct Swap: Sendable {
        let first: Int
        let second: Int
        let both: UInt8
        let half: UInt8
        let different: UInt8
    }

    let comparators: [Comparator]
    let swaps: [Swap]

    init(_ schema: MatchSchema) {
        comparators = schema.fields.map(\.comparator)
        var swaps: [Swap] = []
        if let given = schema.fields.firstIndex(of: .givenName),
            let surname = schema.fields.firstIndex(of: .surname)
        {
            swaps.append(
                Swap(
                    first: given, second: surname, both: NameLevels.swapped, half: NameLevels.halfSwapped,
                    different: NameLevels.different))
        }
        let lines = schema.fields.indices.filter { schema.fields[$0] == .address }
        if lines.count >= 2 {
            swaps.append(
                Swap(
                    first: lines[0], second: lines[1], both: WordLevels.swapped, half: WordLevels.halfSwapped,
                    different: WordLevels.different))
        }
        self.swaps = swaps
    }

    /// How well two records of the table agree.
    @inline(__always)
    func pattern(_ a: Int, _ b: Int, in table: TableView) -> MatchPattern {
        var pattern = MatchPattern()
        let (rowA, rowB) = (table.numbers + a * table.width, table.numbers + b * table.width)
        for column in 0..<table.width { pattern[column] = level(rowA[column], rowB[column], column, table) }
        for swap in swaps { cross(rowA, rowB, swap, table, &pattern) }
        return pattern
    }

    /// How well the values of a column agree.
    @inline(__always)
    func level(_ a: Int32, _ b: Int32, _ column: Int, _ table: TableView) -> UInt8 {
        if a < 0 || b < 0 { return ExactLevel.missing }
        if a == b { return ExactLevel.equal }
        let pool = table.pools[column]
        return pool.comparator.level(a, b, in: pool)
    }

    /// Whether neither column agrees as it stands.
    @inline(__always)
    private func isApart(_ pattern: MatchPattern, _ swap: Swap) -> Bool {
        let (first, second) = (pattern[swap.first], pattern[swap.second])
        return (first == 0 || first >= swap.different) && (second == 0 || second >= swap.different)
    }

    /// Looks whether two columns agree crosswise that don't as they stand.
    func cross(
        _ a: UnsafePointer<Int32>, _ b: UnsafePointer<Int32>, _ swap: Swap, _ table: TableView,
        _ pattern: inout MatchPattern
    ) {
        guard isApart(pattern, swap) else { return }
        let one = level(a[swap.first], b[swap.second], swap.first, table)
        let other = level(a[swap.second], b[swap.first], swap.first, table)
        let agree = (1...3)
        if agree.contains(Int(one)), agree.contains(Int(other)) {
            pattern[swap.first] = swap.both
            pattern[swap.second] = ExactLevel.missing
        } else if one == 0 && (1...2).contains(other) || other == 0 && (1...2).contains(one) {
            pattern[swap.first] = swap.half
            pattern[swap.second] = ExactLevel.missing
        }
    }
}
