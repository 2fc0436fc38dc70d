/// Matches one record against all others at once, and takes records in and out.
///
/// The weights are those that a `RecordMatching` has learned. The records that share most with the one looked up, by the
/// rarity of what they share, are compared in full; features that so many share that they would take long are left out
/// when there are rarer ones.
package struct MatchIndex: Sendable {
    package let weights: MatchWeights
    private var table: MatchTable
    private let scoring: PairScoring
    private let features: [BlockingFeature]
    private var index: FeatureIndex
    private var alive: [Bool]
    /// What each record shares with the one looked up, in bits; all zero between look-ups.
    private var shares: [Float]

    /// Places of records that a look-up passes over, at most about as many.
    private static let mostPlaces = 40_000
    /// Records that are compared in full.
    private static let mostCompared = 250

    package init(_ matching: RecordMatching, workers: MatchWorkers = .alone) {
        weights = matching.weights
        table = matching.table
        scoring = matching.scoring
        let features = FeatureTable(table, workers: workers)
        self.features = features.features
        index = FeatureIndex(features, count: table.count, workers: workers)
        alive = [Bool](repeating: true, count: table.count)
        shares = [Float](repeating: 0, count: table.count)
    }

    /// About how many bytes it takes.
    package var bytes: Int {
        table.bytes + index.bytes + Footprint.of(alive) + Footprint.of(shares)
    }

    /// How many records there are.
    package var count: Int { alive.reduce(0) { $0 + ($1 ? 1 : 0) } }

    /// Takes a record in; returns its place.
    package mutating func add(_ values: [String?]) -> Int {
        let record = table.append(values)
        index.add(FeatureTable.hashes(of: record, features, in: table), of: record, features)
        alive.append(true)
        shares.append(0)
        return record
    }

    /// Takes the record at a place out. Places stay what they are.
    package mutating func remove(_ record: Int) {
        guard alive.indices.contains(record), alive[record] else { return }
        alive[record] = false
        table.clear(record)
    }

    /// What was found for a record that was looked up.
    package struct Found: Sendable, Hashable {
        package let record: Int
        package let weight: Double
        package let verdict: MatchPolicy.Verdict
        package let explanation: MatchExplanation
    }

    /// The records that the values may be of, the most likely first.
    package mutating func look(
        up values: [String?], policy: MatchPolicy = .standard, limit: Int = 20
    ) -> [Found] {
        var shares: [Float] = []
        swap(&shares, &self.shares)
        defer { swap(&shares, &self.shares) }
        let (scoring, weights, bar) = (scoring, weights, policy.reviewWeight)
        let (features, index, alive) = (features, index, alive)
        return table.withGuest(values) { table, guest in
            let near = Self.nearest(to: guest, features, index, alive, in: table, &shares)
            let likely = table.withView { view in
                near.compactMap { record in
                    scoring.weight(record, guest, above: bar, in: view).map { (record: record, weight: $0) }
                }
            }
            return likely.sorted { ($0.weight, $1.record) > ($1.weight, $0.record) }.prefix(limit).map {
                each in
                let explanation = scoring.explain(each.record, guest, weights, in: table)
                return Found(
                    record: each.record, weight: Double(each.weight),
                    verdict: policy.verdict(Logarithm.probability(ofWeight: Double(each.weight))),
                    explanation: explanation)
            }
        }
    }

    /// The records that share most with one.
    private static func nearest(
        to record: Int, _ features: [BlockingFeature], _ index: FeatureIndex, _ alive: [Bool],
        in table: borrowing MatchTable, _ shares: inout [Float]
    ) -> [Int] {
        let hashes = FeatureTable.hashes(of: record, features, in: table)
        var found: [FeatureIndex.Postings] = []
        for (hash, feature) in zip(hashes, features) where hash != 0 {
            let postings = index.postings(hash, feature)
            if postings.count > 0 { found.append(postings) }
        }
        found.sort { $0.count < $1.count }
        var touched: [Int] = []
        var places = 0
        for postings in found {
            if places > 0, places + postings.count > mostPlaces { break }
            places += postings.count
            let bits = Float(Logarithm.base2(Double(max(2, table.count)) / Double(postings.count)))
            index.forEach(postings) { other in
                if shares[other] == 0 { touched.append(other) }
                shares[other] += max(bits, 0.01)
            }
        }
        defer { for other in touched { shares[other] = 0 } }
        guard touched.count > mostCompared else { return touched.filter { alive[$0] } }
        let bar = bar(of: touched, shares)
        return Array(touched.filter { shares[$0] >= bar && alive[$0] }.prefix(mostCompared * 2))
    }

    /// The share that about `mostCompared` records reach.
    private static func bar(of touched: [Int], _ shares: [Float]) -> Float {
        var histogram = [Int](repeating: 0, count: 512)
        for record in touched { histogram[min(511, Int(shares[record] * 2))] += 1 }
        var sum = 0
        for step in stride(from: 511, to: 0, by: -1) {
            sum += histogram[step]
            if sum >= mostCompared { return Float(step) / 2 }
        }
        return 0
    }
}
