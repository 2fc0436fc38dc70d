import Models

/// Pairs that the weights are learned from.
struct PairSample: Sendable {
    struct Pair: Sendable {
        let pattern: MatchPattern
        /// What the rarity of equal values adds, in quarters of a bit, by column.
        let rarity: InlineArray<16, UInt8>

        init(_ pattern: MatchPattern, of record: Int, in table: TableView) {
            self.pattern = pattern
            var rarity = InlineArray<16, UInt8>(repeating: 0)
            for column in 0..<table.width where pattern[column] == ExactLevel.equal {
                let bits = table.rarity[column][Int(table.numbers[record * table.width + column])]
                rarity[column] = UInt8(min(255, bits * 4))
            }
            self.rarity = rarity
        }
    }

    /// Pairs that may be of one person.
    var candidates: [Pair] = []
    /// How many candidates there are to each one in the sample.
    var scale = 1.0
    /// Pairs drawn at random that have something in common.
    var chance: [Pair] = []
    /// Expected numbers of pairs of all pairs at each level, by column, whether of one person or of two.
    var levels: [[Double]] = []
    /// By column and rarity in whole bits, how many pairs are equal in a value so rare, and how many would be if each
    /// record were a pair with itself as well.
    var equal: [[(pairs: Double, squares: Double)]] = []
    /// All pairs of the records.
    var pairs = 0.0
    /// How many pairs were drawn.
    var drawn = 0.0

    /// Pairs drawn at random, at most.
    static let most = 400_000

    private struct Drawn: Sendable {
        var counts: [Int]
        var pairs: [Pair] = []
    }

    /// Counts the levels over pairs drawn at random, or over all of them where there are no more.
    init(_ table: MatchTable, _ comparison: PairComparison, workers: MatchWorkers) {
        let count = table.count
        pairs = Double(count) * Double(max(0, count - 1)) / 2
        let all = pairs <= Double(Self.most)
        drawn = all ? pairs : Double(Self.most)
        let columns = comparison.comparators.count
        let circumstances = Circumstance.all(table.schema).map(\.columns)
        let pieces = 16
        let found = workers.map(pieces) { piece in
            table.withView { view in
                var drawn = Drawn(counts: [Int](repeating: 0, count: columns * 16))
                func note(_ a: Int, _ b: Int) {
                    let pattern = comparison.pattern(a, b, in: view)
                    for column in 0..<columns { drawn.counts[column * 16 + Int(pattern[column])] += 1 }
                    if circumstances.contains(where: { Self.agree(pattern, $0) }) {
                        drawn.pairs.append(Pair(pattern, of: a, in: view))
                    }
                }
                if all {
                    for a in stride(from: piece, to: count, by: pieces) { for b in 0..<a { note(a, b) } }
                } else {
                    var generator = SeededGenerator(seed: UInt64(piece) &+ 0x6D61_7463_68)
                    for _ in 0..<Self.most / pieces {
                        let a = Int(generator.next(upperBound: UInt64(count)))
                        let b = Int(generator.next(upperBound: UInt64(count - 1)))
                        note(a, b < a ? b : b + 1)
                    }
                }
                return drawn
            }
        }
        chance = found.flatMap(\.pairs)
        levels = comparison.comparators.indices.map { column in
            comparison.comparators[column].levels.indices.reduce(into: [0]) { levels, level in
                let found = found.reduce(0) { $0 + $1.counts[column * 16 + level + 1] }
                levels.append(Double(found) * pairs / max(drawn, 1))
            }
        }
        equal = zip(table.counts, table.rarity).map { counts, rarity in
            var sums = [(pairs: Double, squares: Double)](repeating: (0, 0), count: MatchWeights.rarities)
            for (count, bits) in zip(counts, rarity) where count > 0 {
                let place = min(MatchWeights.rarities - 1, Int(bits))
                sums[place].pairs += Double(count) * Double(count - 1) / 2
                sums[place].squares += count > 1 ? Double(count) * Double(count) / 2 : 0
            }
            return sums
        }
        // Equal pairs can be counted to the last.
        for column in levels.indices {
            levels[column][1] = table.counts[column].reduce(0) { $0 + Double($1) * Double($1 - 1) / 2 }
        }
    }

    /// Whether two of the columns agree more or less.
    private static func agree(_ pattern: MatchPattern, _ columns: UInt32) -> Bool {
        var agreeing = 0
        var rest = columns
        while rest != 0 {
            if (1...3).contains(pattern[rest.trailingZeroBitCount]) { agreeing += 1 }
            rest &= rest &- 1
        }
        return agreeing >= 2
    }
}
