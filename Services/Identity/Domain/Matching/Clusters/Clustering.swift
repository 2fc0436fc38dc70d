/// Which records are of one person, where pairs contradict each other.
///
/// Following every link makes one person of two as soon as one link between them is wrong. Here groups are joined, best
/// first, as long as all that is known of the pairs between them speaks for it on the whole: greedy additive edge
/// contraction for correlation clustering (Bansal, Blum & Chawla 2004; Keuper et al. 2015). Pairs between the groups
/// that were no candidates are weighed too. A single pair counts no more than `limit` either way, so that neither one
/// equal e-mail address nor one wrong date decides over a whole group.
struct Clustering {
    let table: MatchTable
    let scoring: PairScoring

    static let limit: Float = 10
    /// Larger components are cut at higher weights first.
    private static let largest = 300
    /// Pairs of such a weight are not doubted.
    private static let sure: Float = 24

    /// For each record the least place of its group.
    func groups(_ pairs: [ScoredPair], workers: MatchWorkers) -> [UInt32] {
        var components = Self.components(pairs, above: 0, records: table.count)
        var settled: [[ScoredPair]] = []
        var one: [[ScoredPair]] = []
        var bar: Float = 4
        while !components.isEmpty {
            settled += components.filter { $0.size <= Self.largest }.map(\.pairs)
            let large = components.filter { $0.size > Self.largest }
            if bar > Self.sure {
                // Somebody with hundreds of records, which nothing takes apart.
                one += large.map(\.pairs)
                break
            }
            components = Self.components(large.flatMap(\.pairs), above: bar, records: table.count)
            bar += 4
        }
        let list = settled
        let parts = workers.map(64) { piece in
            table.withView { view in
                stride(from: piece, to: list.count, by: 64).flatMap { settle(list[$0], view) }
            }
        }
        var groups = (0..<UInt32(table.count)).map { $0 }
        for (record, group) in parts.joined() { groups[Int(record)] = group }
        for pairs in one {
            let least = pairs.reduce(UInt32.max) { min($0, $1.a, $1.b) }
            for pair in pairs { (groups[Int(pair.a)], groups[Int(pair.b)]) = (least, least) }
        }
        return groups
    }

    private struct Component {
        var pairs: [ScoredPair]
        var size: Int
    }

    private static func components(_ pairs: [ScoredPair], above bar: Float, records: Int) -> [Component] {
        let strong = pairs.filter { $0.weight > bar }
        // The record above each; those of no pair are their own.
        var forest = (0..<UInt32(records)).map { $0 }
        func root(_ record: UInt32) -> UInt32 {
            var at = Int(record)
            while forest[at] != at {
                forest[at] = forest[Int(forest[at])]
                at = Int(forest[at])
            }
            return UInt32(at)
        }
        for pair in strong {
            let (a, b) = (root(pair.a), root(pair.b))
            if a != b { forest[Int(max(a, b))] = min(a, b) }
        }
        var places = [Int32](repeating: -1, count: records)
        var isCounted = [Bool](repeating: false, count: records)
        var found: [Component] = []
        for pair in strong {
            let root = Int(root(pair.a))
            if places[root] < 0 {
                places[root] = Int32(found.count)
                found.append(Component(pairs: [], size: 0))
            }
            let place = Int(places[root])
            found[place].pairs.append(pair)
            for record in [pair.a, pair.b] where !isCounted[Int(record)] {
                isCounted[Int(record)] = true
                found[place].size += 1
            }
        }
        return found
    }

    /// The group of each record of one component.
    private func settle(_ pairs: [ScoredPair], _ view: TableView) -> [(UInt32, UInt32)] {
        let records = Set(pairs.flatMap { [$0.a, $0.b] }).sorted()
        if records.count == 2 { return [(records[0], records[0]), (records[1], records[0])] }
        let size = records.count
        var sums = [Float](repeating: 0, count: size * size)
        for a in 1..<size {
            for b in 0..<a {
                let weight = max(
                    -Self.limit, min(Self.limit, scoring.weight(Int(records[b]), Int(records[a]), in: view)))
                sums[a * size + b] = weight
                sums[b * size + a] = weight
            }
        }
        var group = Array(0..<size)
        var alive = Array(0..<size)
        var sizes = [Float](repeating: 1, count: size)
        while true {
            var best: (gain: Float, a: Int, b: Int)?
            for (index, a) in alive.enumerated() {
                for b in alive[..<index] where sums[a * size + b] > 0 {
                    let gain = sums[a * size + b] / (sizes[a] * sizes[b])
                    if gain > best?.gain ?? 0 { best = (gain, a, b) }
                }
            }
            guard let best else { break }
            for other in alive where other != best.a && other != best.b {
                sums[best.b * size + other] += sums[best.a * size + other]
                sums[other * size + best.b] = sums[best.b * size + other]
            }
            sizes[best.b] += sizes[best.a]
            alive.removeAll { $0 == best.a }
            for index in group.indices where group[index] == best.a { group[index] = best.b }
        }
        return records.indices.map { (records[$0], records[group[$0]]) }
    }
}
