/// Finds the records that are of one person, in a table of them: which pairs are worth comparing, what agreement is worth
/// in these records, and the weight of every pair.
///
/// The same table gives the same result, however many workers there are.
package struct RecordMatching: Sendable {
    /// What has been begun.
    package enum Step: String, Sendable { case blocking, learning, comparing }

    /// Which pairs are compared: every one where there are few records, else those that share something rare.
    package enum Choice: Sendable { case automatic, every, blocked }

    package let table: MatchTable
    package let weights: MatchWeights
    /// About how many pairs were compared.
    package let compared: Int
    let scoring: PairScoring
    private let workers: MatchWorkers
    private let policy: MatchPolicy
    private let pairs: [ScoredPair]

    /// With so few records every pair is compared.
    static let smallTable = 1_500
    /// Candidates that the weights are learned from, at most about as many.
    private static let sampled = 400_000

    package init(
        _ table: MatchTable, policy: MatchPolicy = .standard, workers: MatchWorkers = .alone,
        comparing choice: Choice = .automatic, progress: (Step) -> Void = { _ in }
    ) {
        (self.policy, self.workers) = (policy, workers)
        progress(.blocking)
        let candidates = Candidates(table, choice, workers: workers)
        compared = candidates.count(of: table.count)
        progress(.learning)
        let comparison = PairComparison(table.schema)
        var sample = PairSample(table, comparison, workers: workers)
        let every = max(1, compared / Self.sampled)
        sample.scale = Double(every)
        sample.candidates = candidates.mapPairs(of: table, every: every, workers: workers) { a, b, view in
            PairSample.Pair(comparison.pattern(a, b, in: view), of: a, in: view)
        }
        weights = WeightEstimation(sample: sample, schema: table.schema, workers: workers)
            .estimate(records: table.count)
        progress(.comparing)
        var table = table
        table.correct(weights.rarityCorrections)
        self.table = table
        let scoring = PairScoring(weights, comparison)
        self.scoring = scoring
        let bar = min(0, policy.reviewWeight)
        pairs = candidates.mapPairs(of: table, every: 1, workers: workers) { a, b, view in
            scoring.weight(a, b, above: bar, in: view).map {
                ScoredPair(a: UInt32(a), b: UInt32(b), weight: $0)
            }
        }
    }

    /// The pairs to merge or to review, the most likely first.
    package func proposals() -> [MatchProposal] {
        let bar = policy.reviewWeight
        return pairs.filter { $0.weight >= bar }
            .sorted { $0.weight == $1.weight ? ($0.a, $0.b) < ($1.a, $1.b) : $0.weight > $1.weight }
            .map { pair in
                let weight = Double(pair.weight)
                return MatchProposal(
                    a: Int(pair.a), b: Int(pair.b), weight: weight,
                    verdict: policy.verdict(Logarithm.probability(ofWeight: weight)))
            }
    }

    /// For each record the least place of the records of its person.
    package func groups() -> [Int] {
        Clustering(table: table, scoring: scoring).groups(pairs, workers: workers).map { Int($0) }
    }

    /// Why a pair has its weight, whether it was a candidate or not.
    package func explain(_ a: Int, _ b: Int) -> MatchExplanation {
        scoring.explain(min(a, b), max(a, b), weights, in: table)
    }
}
