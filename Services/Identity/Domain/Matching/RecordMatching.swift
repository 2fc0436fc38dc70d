/// Finds the records that are of one person, in a table of them.
package struct RecordMatching: Sendable {
    let table: MatchTable
    let workers: MatchWorkers
    let weights: MatchWeights
    let scoring: PairScoring
    /// Pairs that were compared.
    package private(set) var compared = 0
    var pairs: [ScoredPair] = []

    /// With so few records every pair is compared.
    static let smallTable = 1_500
    /// Candidates that the weights are learned from, at most about as many.
    private static let sampled = 600_000

    package init(_ table: MatchTable, workers: MatchWorkers = .alone) {
        self.table = table
        self.workers = workers
        let comparison = PairComparison(table.schema)
        let candidates = Candidates(table, workers: workers)
        var sample = PairSample(table, comparison, workers: workers)
        let total = candidates.count(of: table.count, every: 16)
        let every = max(1, total / Self.sampled)
        sample.scale = Double(every)
        sample.candidates = candidates.mapPairs(table.count, every: every, workers: workers, table: table) { a, b, view in
            let pattern = comparison.pattern(a, b, in: view)
            return PairSample.Pair(pattern, of: a, in: view)
        }
        weights = WeightEstimation(sample: sample, schema: table.schema, workers: workers)
            .estimate(records: table.count)
        let scoring = PairScoring(weights, comparison)
        self.scoring = scoring
        compared = total
        pairs = candidates.mapPairs(table.count, every: 1, workers: workers, table: table) { a, b, view in
            scoring.weight(a, b, above: -3, in: view).map { ScoredPair(a: UInt32(a), b: UInt32(b), weight: $0) }
        }
    }

    package func groups() -> [UInt32] {
        Clustering(table: table, scoring: scoring).groups(pairs, workers: workers)
    }

    /// For the experiments.
    package func forEachPair(_ body: (Int, Int, Float) -> Void) {
        for pair in pairs { body(Int(pair.a), Int(pair.b), pair.weight) }
    }
}

/// The pairs of records that are compared.
enum Candidates: Sendable {
    case all
    case blocks(CandidateBlocks)

    init(_ table: MatchTable, workers: MatchWorkers) {
        self = table.count <= RecordMatching.smallTable
            ? .all
            : .blocks(
                CandidateBlocks(FeatureTable(table, workers: workers), count: table.count, workers: workers))
    }

    /// About how many pairs there are, by one record of `every`.
    func count(of records: Int, every: Int) -> Int {
        guard case .blocks(let blocks) = self else { return records * (records - 1) / 2 }
        return blocks.pairs(of: records, every: every)
    }

    /// What `body` makes of each pair of every so many records, in an order of its own that is always the same.
    func mapPairs<Result: Sendable>(
        _ records: Int, every: Int, workers: MatchWorkers, table: MatchTable,
        _ body: @Sendable (Int, Int, TableView) -> Result?
    ) -> [Result] {
        let pieces = max(1, min(64, records / 500))
        let found = workers.map(pieces) { piece in table.withView { view in
            var results: [Result] = []
            var seen = [UInt32](repeating: .max, count: records)
            for record in stride(from: piece, to: records, by: pieces)
            where every == 1 || UInt64(BlockingFeature.mixed(UInt64(record) + 1)) % UInt64(every) == 0 {
                switch self {
                case .all:
                    for other in 0..<record { if let result = body(other, record, view) { results.append(result) } }
                case .blocks(let blocks):
                    blocks.forEachEarlier(record) { other in
                        if seen[other] == UInt32(record) { return }
                        seen[other] = UInt32(record)
                        if let result = body(other, record, view) { results.append(result) }
                    }
                }
            }
            return results
        } }
        return found.flatMap { $0 }
    }
}
extension RecordMatching {
    package func weightOf(_ a: Int, _ b: Int) -> Float { table.withView { scoring.weight(a, b, in: $0) } }
    package func describe(_ names: [String]) -> String {
        var s = "prior \(weights.priorWeight)\n\(zip(weights.circumstances.map(\.name), weights.shared).map { "\($0): \($1)" })\n"
        for c in weights.m.indices {
            s += "\(names[c]):"
            for (l, level) in table.schema.fields[c].comparator.levels.enumerated() {
                let r = { (x: Double) in Double(Int(x * 100000)) / 100000 }
                s += "  \(level.name) m=\(r(weights.m[c][l+1])) u=\(r(weights.u[c][l+1])) w=\(r(weights.weight(c, l+1)))\n"
            }
        }
        return s
    }
}
