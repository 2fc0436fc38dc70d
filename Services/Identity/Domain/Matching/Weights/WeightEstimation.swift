/// Learns the weights of a data set from its own pairs, without knowing which are of one person: expectation and
/// maximisation (Dempster, Laird & Rubin 1977; for linkage Winkler 1988 and Enamorado et al. 2019).
///
/// `u` is taken from pairs drawn at random, less those that are probably of one person, and `m` from the candidates, each
/// counting by its probability. Nearly all pairs of one person are candidates, so that their shares are nearly unbiased.
/// Three things keep small data sets from running away: `m` starts from what is expected of each comparator and is held
/// there by the weight of some pairs (a Dirichlet prior), `u` is never less than half a pair, and a better level never
/// weighs less than a worse one.
struct WeightEstimation {
    let sample: PairSample
    let schema: MatchSchema
    let workers: MatchWorkers

    /// As many pairs as the expectation weighs.
    static let priorPairs = 20.0
    private static let mostRounds = 40

    private var comparators: [Comparator] { schema.fields.map(\.comparator) }

    /// What the pairs of a sample come to under some weights.
    private struct Expectation: Sendable {
        /// By column and level.
        var matched: [Double]
        /// Of the equal ones, by column and rarity in whole bits.
        var equal: [Double]
        var total = 0.0
        var shared: [Double]
    }

    func estimate(records: Int) -> MatchWeights {
        var weights = MatchWeights(
            expectedOf: schema, u: u(without: nil),
            prior: min(0.3, 0.3 * Double(max(1, records)) / max(sample.pairs, 1)))
        if sample.pairs < 1 { return weights }
        keepOrder(&weights)
        var (candidates, chance) = (sample.candidates, sample.chance)
        for round in 0..<Self.mostRounds {
            let before = weights
            if round == 2 {
                candidates = telling(candidates, weights)
                chance = telling(chance, weights)
            }
            improve(&weights, candidates, chance)
            if distance(before, weights) < 1e-3 { break }
        }
        return weights
    }

    /// The pairs that are not sure to have nothing to do with each other.
    private func telling(_ pairs: [PairSample.Pair], _ weights: MatchWeights) -> [PairSample.Pair] {
        let scoring = PairScoring(weights, PairComparison(schema))
        let corrections = weights.rarityCorrections.flatMap(\.self)
        return pairs.filter { pair in
            func part(_ column: Int) -> Float { Self.part(pair, column, scoring, corrections) }
            let sum = comparators.indices.reduce(scoring.priorWeight) { $0 + part($1) }
            return sum > -20 || scoring.sharedBits(part) > 0.05
        }
    }

    /// What a column adds to the weight of a pair.
    @inline(__always)
    private static func part(
        _ pair: PairSample.Pair, _ column: Int, _ scoring: PairScoring, _ corrections: [Float]
    ) -> Float {
        let bits = scoring.bits[column * 16 + Int(pair.pattern[column])]
        guard pair.pattern[column] == ExactLevel.equal else { return bits }
        let place = column * MatchWeights.rarities + Int(pair.rarity[column]) / 4
        return bits + Float(pair.rarity[column]) / 4 + corrections[min(place, corrections.count - 1)]
    }

    private func improve(
        _ weights: inout MatchWeights, _ candidates: [PairSample.Pair], _ chance: [PairSample.Pair]
    ) {
        let found = expect(candidates, weights)
        let byChance = expect(chance, weights)
        for column in comparators.indices {
            let levels = comparators[column].levels
            let matched = (0...levels.count).map { found.matched[column * 16 + $0] * sample.scale }
            let known = matched.dropFirst().reduce(0, +)
            for level in 1...levels.count {
                weights.m[column][level] =
                    (matched[level] + Self.priorPairs * levels[level - 1].expected)
                    / (known + Self.priorPairs)
            }
        }
        weights.u = u(without: found.matched)
        for column in comparators.indices {
            for bits in 0..<MatchWeights.rarities {
                let all = sample.equal[column][bits]
                let matched = found.equal[column * MatchWeights.rarities + bits] * sample.scale
                // One pair is taken for coincidence where none is known to be.
                weights.coincidence[column][bits] = min(
                    1, (max(0, all.pairs - matched) + 1) / (all.squares + 1))
            }
        }
        let least = 1 / (4 * sample.pairs)
        weights.prior = min(0.5, max(least, found.total * sample.scale / sample.pairs))
        for index in weights.shared.indices {
            // Rare circumstances are met among the candidates, frequent ones by chance.
            let share =
                byChance.shared[index] >= 20
                ? byChance.shared[index] / sample.drawn : found.shared[index] * sample.scale / sample.pairs
            weights.shared[index] = min(0.2, max(least, share))
        }
        keepOrder(&weights)
    }

    private func expect(_ pairs: [PairSample.Pair], _ weights: MatchWeights) -> Expectation {
        let scoring = PairScoring(weights, PairComparison(schema))
        let columns = comparators.count
        let circumstances = weights.circumstances.map(\.columns)
        let shares = weights.shared.map { Float($0 / weights.chance) }
        let corrections = weights.rarityCorrections.flatMap(\.self)
        let pieces = 8
        let parts = workers.map(pieces) { piece in
            var found = Expectation(
                matched: [Double](repeating: 0, count: columns * 16),
                equal: [Double](repeating: 0, count: columns * MatchWeights.rarities),
                shared: shares.map { _ in 0 })
            var bits = InlineArray<16, Float>(repeating: 0)
            for index in pairs.count * piece / pieces..<pairs.count * (piece + 1) / pieces {
                let pair = pairs[index]
                var sum = scoring.priorWeight
                for column in 0..<columns {
                    let part = Self.part(pair, column, scoring, corrections)
                    bits[column] = part
                    sum += part
                }
                var odds: Float = 1
                for (index, set) in circumstances.enumerated() {
                    odds += shares[index] * Logarithm.power2(min(100, PairScoring.sum(set) { bits[$0] }))
                }
                let match = Logarithm.power2(min(100, sum))
                let whole = odds + match
                if odds > 1.01 {
                    for (index, set) in circumstances.enumerated() {
                        let part =
                            shares[index] * Logarithm.power2(min(100, PairScoring.sum(set) { bits[$0] }))
                        found.shared[index] += Double(part / whole)
                    }
                }
                let probability = Double(match / whole)
                guard probability > 1e-4 else { continue }
                found.total += probability
                for column in 0..<columns {
                    let level = pair.pattern[column]
                    found.matched[column * 16 + Int(level)] += probability
                    guard level == ExactLevel.equal else { continue }
                    let bits = min(MatchWeights.rarities - 1, Int(pair.rarity[column]) / 4)
                    found.equal[column * MatchWeights.rarities + bits] += probability
                }
            }
            return found
        }
        return parts.dropFirst().reduce(into: parts[0]) { sum, part in
            sum.total += part.total
            for index in sum.matched.indices { sum.matched[index] += part.matched[index] }
            for index in sum.equal.indices { sum.equal[index] += part.equal[index] }
            for index in sum.shared.indices { sum.shared[index] += part.shared[index] }
        }
    }

    /// The shares of the levels among pairs of two people.
    private func u(without matched: [Double]?) -> [[Double]] {
        // Without any pair all levels are as good as each other.
        let least = sample.drawn > 0 ? 0.5 * sample.pairs / sample.drawn : 0.5
        return sample.levels.enumerated().map { column, found in
            var counts = found
            for level in 1..<found.count {
                // Equal pairs are counted, all others are drawn.
                let floor = level == 1 ? 0.5 : least
                let less = (matched?[column * 16 + level] ?? 0) * sample.scale
                counts[level] = max(floor, found[level] - less)
            }
            let sum = counts.dropFirst().reduce(0, +)
            return [0] + counts.dropFirst().map { $0 / sum }
        }
    }

    /// Gives neighbouring levels that are in the wrong order the same weight.
    private func keepOrder(_ weights: inout MatchWeights) {
        for column in comparators.indices {
            let ordered = comparators[column].levels.filter(\.ordered).count
            guard ordered > 2 else { continue }
            var pools: [(range: Range<Int>, m: Double, u: Double)] = []
            for level in 2...ordered {
                pools.append((level..<level + 1, weights.m[column][level], weights.u[column][level]))
                while pools.count > 1,
                    pools[pools.count - 2].m * pools[pools.count - 1].u
                        < pools[pools.count - 1].m * pools[pools.count - 2].u
                {
                    let last = pools.removeLast()
                    let first = pools.removeLast()
                    pools.append(
                        (first.range.lowerBound..<last.range.upperBound, first.m + last.m, first.u + last.u))
                }
            }
            for pool in pools where pool.range.count > 1 {
                for level in pool.range {
                    // The level keeps its share of the pairs of two people; m follows from the common weight.
                    weights.m[column][level] = weights.u[column][level] * pool.m / pool.u
                }
            }
        }
    }

    private func distance(_ a: MatchWeights, _ b: MatchWeights) -> Double {
        var largest = abs(a.prior - b.prior) / max(a.prior, b.prior)
        for column in a.m.indices {
            for level in a.m[column].indices {
                largest = max(largest, abs(a.m[column][level] - b.m[column][level]))
            }
        }
        return largest
    }
}
