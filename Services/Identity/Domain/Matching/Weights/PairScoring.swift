/// Weighs pairs of records, in bits: above 0 it is more likely than not that they are of one person.
struct PairScoring: Sendable {
    let comparison: PairComparison
    let priorWeight: Float
    /// By column and level, sixteen places each; equal values without their rarity.
    let bits: [Float]
    /// By column, the most that any level but equal can add.
    private let most: [Float]
    private let circumstances: [UInt32]
    /// How often each circumstance is met, to once by chance.
    private let shares: [Float]
    private let columns: Int
    /// Columns that may have been swapped.
    private let swapped: UInt32
    /// Columns and swaps (−1, −2…) in the order in which a pair most likely turns out to be of two people.
    private let order: [Int]

    init(_ weights: MatchWeights, _ comparison: PairComparison) {
        self.comparison = comparison
        columns = weights.m.count
        priorWeight = Float(weights.priorWeight)
        var bits = [Float](repeating: 0, count: weights.m.count * 16)
        var most = [Float](repeating: 0, count: weights.m.count)
        for column in weights.m.indices {
            most[column] = -.infinity
            for level in 1..<weights.m[column].count {
                let isEqual = level == Int(ExactLevel.equal)
                bits[column * 16 + level] = Float(
                    isEqual ? Logarithm.base2(weights.m[column][level]) : weights.weight(column, level))
                if !isEqual { most[column] = max(most[column], bits[column * 16 + level]) }
            }
        }
        for swap in comparison.swaps { most[swap.second] = max(0, most[swap.second]) }
        (self.bits, self.most) = (bits, most)
        swapped = comparison.swaps.reduce(0) { $0 | 1 << UInt32($1.first) | 1 << UInt32($1.second) }
        let (drops, inSwap) = (
            weights.m.indices.map { column in
                most[column]
                    - bits[column * 16 + comparison.comparators[column].levels.filter(\.ordered).count]
            }, swapped
        )
        let units: [(Int, Float)] =
            weights.m.indices.filter { inSwap >> UInt32($0) & 1 == 0 }.map { ($0, drops[$0]) }
            + comparison.swaps.indices.map {
                (-1 - $0, drops[comparison.swaps[$0].first] + drops[comparison.swaps[$0].second])
            }
        order = units.sorted { $0.1 > $1.1 }.map(\.0)
        circumstances = weights.circumstances.map(\.columns)
        shares = weights.shared.map { Float($0 / weights.chance) }
    }

    /// The weight of a pair.
    func weight(_ a: Int, _ b: Int, in table: TableView) -> Float {
        weight(a, b, above: -.infinity, in: table) ?? -.infinity
    }

    /// The weight of a pair; nil when it is not above the bar, which mostly shows before all is compared.
    func weight(_ a: Int, _ b: Int, above bar: Float, in table: TableView) -> Float? {
        let (rowA, rowB) = (table.numbers + a * columns, table.numbers + b * columns)
        let (glanceA, glanceB) = (table.glances + a * columns, table.glances + b * columns)
        let comparators = comparison.comparators
        return bits.withUnsafeBufferPointer { bits -> Float? in
            most.withUnsafeBufferPointer { most -> Float? in
                var reachable = priorWeight
                var pattern = MatchPattern()
                for column in 0..<columns {
                    let (valueA, valueB) = (rowA[column], rowB[column])
                    if valueA < 0 || valueB < 0 {
                        // A surname may stand where the given name belongs, and its own place be empty.
                        if swapped >> UInt32(column) & 1 != 0 { reachable += max(0, most[column]) }
                    } else if valueA == valueB {
                        pattern[column] = ExactLevel.equal
                        reachable += bits[column * 16 + 1] + table.rarity[column][Int(valueA)]
                    } else if swapped >> UInt32(column) & 1 != 0
                        || comparators[column].mayAgree(glanceA[column], glanceB[column])
                    {
                        reachable += most[column]
                    } else {
                        pattern[column] = comparators[column].different
                        reachable += bits[column * 16 + Int(pattern[column])]
                    }
                }
                for unit in order {
                    if reachable <= bar { return nil }
                    if unit >= 0 {
                        guard pattern[unit] == 0, rowA[unit] >= 0, rowB[unit] >= 0 else { continue }
                        pattern[unit] = comparison.level(rowA[unit], rowB[unit], unit, table)
                        reachable += bits[unit * 16 + Int(pattern[unit])] - most[unit]
                    } else {
                        let swap = comparison.swaps[-1 - unit]
                        reachable -= assumed(of: swap.first, rowA, rowB, most)
                        reachable -= assumed(of: swap.second, rowA, rowB, most)
                        compare(swap.first, rowA, rowB, table, &pattern)
                        compare(swap.second, rowA, rowB, table, &pattern)
                        comparison.cross(rowA, rowB, swap, table, &pattern)
                        if pattern[swap.first] != ExactLevel.equal {
                            reachable += bits[swap.first * 16 + Int(pattern[swap.first])]
                        }
                        if pattern[swap.second] != ExactLevel.equal {
                            reachable += bits[swap.second * 16 + Int(pattern[swap.second])]
                        }
                    }
                }
                if reachable <= bar { return nil }
                let weight = total(pattern, rowA, table)
                return weight > bar ? weight : nil
            }
        }
    }

    /// What was assumed of a column that may have been swapped, beyond equal values.
    @inline(__always)
    private func assumed(
        of column: Int, _ a: UnsafePointer<Int32>, _ b: UnsafePointer<Int32>,
        _ most: UnsafeBufferPointer<Float>
    ) -> Float {
        if a[column] < 0 || b[column] < 0 { return max(0, most[column]) }
        return a[column] == b[column] ? 0 : most[column]
    }

    @inline(__always)
    private func compare(
        _ column: Int, _ a: UnsafePointer<Int32>, _ b: UnsafePointer<Int32>, _ table: TableView,
        _ pattern: inout MatchPattern
    ) {
        guard a[column] != b[column], a[column] >= 0, b[column] >= 0 else { return }
        pattern[column] = comparison.level(a[column], b[column], column, table)
    }

    /// The weight of a pattern whose equal values are those of a row.
    private func total(_ pattern: MatchPattern, _ row: UnsafePointer<Int32>, _ table: TableView) -> Float {
        withUnsafeTemporaryAllocation(of: Float.self, capacity: 16) { parts in
            var sum = priorWeight
            for column in 0..<columns {
                parts[column] = part(pattern, column, row, table)
                sum += parts[column]
            }
            return sum - sharedBits { parts[$0] }
        }
    }

    /// What a column adds.
    @inline(__always)
    func part(
        _ pattern: MatchPattern, _ column: Int, _ row: UnsafePointer<Int32>, _ table: TableView
    ) -> Float {
        let level = pattern[column]
        let rarity = level == ExactLevel.equal ? table.rarity[column][Int(row[column])] : 0
        return bits[column * 16 + Int(level)] + rarity
    }

    /// What has to be taken off because two people may share a circumstance.
    @inline(__always)
    func sharedBits(_ part: (Int) -> Float) -> Float {
        var odds: Float = 1
        for (index, columns) in circumstances.enumerated() {
            odds += shares[index] * Logarithm.power2(min(100, Self.sum(columns, part)))
        }
        return Logarithm.base2(odds)
    }

    @inline(__always)
    static func sum(_ columns: UInt32, _ part: (Int) -> Float) -> Float {
        var sum: Float = 0
        var rest = columns
        while rest != 0 {
            sum += part(rest.trailingZeroBitCount)
            rest &= rest &- 1
        }
        return sum
    }

    /// What a pair's weight is made of.
    func explain(_ a: Int, _ b: Int, _ weights: MatchWeights, in table: MatchTable) -> MatchExplanation {
        table.withView { view in
            let pattern = comparison.pattern(a, b, in: view)
            let row = view.numbers + a * columns
            let fields = (0..<columns).map { column in
                let level = Int(pattern[column])
                let weight = weights.weight(column, level)
                return MatchExplanation.Evidence(
                    column: column, field: table.schema.fields[column],
                    level: level == 0 ? nil : comparison.comparators[column].levels[level - 1].name,
                    m: weights.m[column][level], u: weights.u[column][level], weight: weight,
                    rarity: Double(part(pattern, column, row, view)) - weight)
            }
            return MatchExplanation(
                prior: Double(priorWeight), fields: fields,
                shared: -Double(sharedBits { part(pattern, $0, row, view) }))
        }
    }
}
