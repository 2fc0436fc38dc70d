/// Which records have a feature: sorted once for many records, with what was added since beside it.
struct FeatureIndex: Sendable {
    /// A key in the upper half and a record in the lower, ascending.
    private var sorted: [UInt64] = []
    private var added: [UInt32: [UInt32]] = [:]
    private(set) var addedRecords = 0

    /// About how many bytes it takes.
    var bytes: Int { Footprint.of(sorted) + Footprint.of(added) + added.count * 40 }

    init(_ table: FeatureTable, count: Int, workers: MatchWorkers) {
        let (features, hashes) = (table.features, table.hashes)
        let parts = workers.map(features.count) { index in
            var part: [UInt64] = []
            for record in 0..<count {
                let hash = hashes[record * features.count + index]
                if hash != 0 { part.append(UInt64(Self.key(hash, features[index])) << 32 | UInt64(record)) }
            }
            return part
        }
        sorted = Array(parts.joined())
        RadixSort.sort(&sorted)
    }

    private static func key(_ hash: UInt32, _ feature: BlockingFeature) -> UInt32 {
        BlockingFeature.mixed(UInt64(hash) | UInt64(feature.space + 1) << 32)
    }

    /// Adds the features of a record.
    mutating func add(_ hashes: [UInt32], of record: Int, _ features: [BlockingFeature]) {
        for (hash, feature) in zip(hashes, features) where hash != 0 {
            added[Self.key(hash, feature), default: []].append(UInt32(record))
        }
        addedRecords += 1
    }

    /// The records that have a feature.
    func postings(_ hash: UInt32, _ feature: BlockingFeature) -> Postings {
        let key = Self.key(hash, feature)
        let start = firstPlace(UInt64(key) << 32)
        let end = key == .max ? sorted.count : firstPlace(UInt64(key + 1) << 32)
        return Postings(sorted: start..<end, added: added[key] ?? [])
    }

    struct Postings {
        let sorted: Range<Int>
        let added: [UInt32]
        var count: Int { sorted.count + added.count }
    }

    @inline(__always)
    func forEach(_ postings: Postings, _ body: (Int) -> Void) {
        for place in postings.sorted { body(Int(UInt32(truncatingIfNeeded: sorted[place]))) }
        for record in postings.added { body(Int(record)) }
    }

    private func firstPlace(_ bound: UInt64) -> Int {
        var (low, high) = (0, sorted.count)
        while low < high {
            let middle = (low + high) / 2
            if sorted[middle] < bound { low = middle + 1 } else { high = middle }
        }
        return low
    }
}
