/// Finds the blocks of features, of pairs of them, and of threes, in that order.
struct BlockSearch {
    struct Found: Sendable {
        var members: [UInt32] = []
        var ends: [UInt32] = []
        /// Records with something that so many share that it is not combined.
        var common: [UInt32] = []
        /// Records and the combination of features that too many share.
        var heavy: [(record: UInt32, set: UInt32)] = []
    }

    private let table: FeatureTable
    private let count: Int
    private let cap: Int
    private let width: Int
    /// How many features can be combined, at most three.
    private let deepest: Int
    /// A feature that more than one in so many records has is not combined.
    private let telling: Int
    /// The features of each record that too many records share, as bits.
    private var heavy: [UInt32]
    /// And for each feature those with which it is still shared by too many.
    private var heavyPairs: [UInt32] = []
    private var common: [Bool]

    init(_ table: FeatureTable, count: Int, cap: Int) {
        (self.table, self.count, self.cap) = (table, count, cap)
        width = table.features.count
        telling = max(30, min(100, count / 10_000))
        deepest = max(1, min(3, Set(table.features.map(\.group)).count))
        heavy = [UInt32](repeating: 0, count: count)
        common = [Bool](repeating: false, count: count)
    }

    /// Blocks of the records that are in none, although they have something that many share.
    func rest(without found: [UInt32]) -> Found {
        var isOpen = common
        for record in found { isOpen[Int(record)] = false }
        var rest = Found()
        emitNeighbours((0..<UInt32(count)).filter { isOpen[Int($0)] }, &rest)
        return rest
    }

    /// The blocks of combinations of `depth` features.
    mutating func pass(_ depth: Int, _ workers: MatchWorkers) -> [Found] {
        if depth == 2 { heavyPairs = [UInt32](repeating: 0, count: count * width) }
        let rules = rules(depth)
        let search = self
        let found = workers.map(rules.count) { search.blocks(of: rules[$0]) }
        for each in found {
            for (record, set) in each.heavy { remember(Int(record), set, depth) }
            for record in each.common { common[Int(record)] = true }
        }
        return found
    }

    private mutating func remember(_ record: Int, _ set: UInt32, _ depth: Int) {
        if depth == 1 { heavy[record] |= set }
        guard depth == 2 else { return }
        let first = set.trailingZeroBitCount
        let second = 31 - set.leadingZeroBitCount
        heavyPairs[record * width + first] |= 1 << UInt32(second)
        heavyPairs[record * width + second] |= 1 << UInt32(first)
    }

    /// Combinations of spaces, each with the sets of features that belong to it.
    private func rules(_ depth: Int) -> [[UInt32]] {
        var sets: [[Int]: [UInt32]] = [:]
        func extend(_ chosen: [Int], from next: Int) {
            if chosen.count == depth {
                let spaces = chosen.map { table.features[$0].space }.sorted()
                sets[spaces, default: []].append(chosen.reduce(0) { $0 | 1 << UInt32($1) })
                return
            }
            for index in next..<max(next, width) {
                let feature = table.features[index]
                let clash = chosen.contains {
                    table.features[$0].group == feature.group && table.features[$0].space != feature.space
                }
                if !clash { extend(chosen + [index], from: index + 1) }
            }
        }
        extend([], from: 0)
        return sets.sorted { $0.key.lexicographicallyPrecedes($1.key) }.map(\.value)
    }

    private func blocks(of rule: [UInt32]) -> Found {
        var entries: [UInt64] = []
        for record in 0..<count {
            for set in rule where isOpen(set, record) {
                let key = key(set, record)
                if key != 0 { entries.append(UInt64(key) << 32 | UInt64(record)) }
            }
        }
        RadixSort.sort(&entries)
        var found = Found()
        var start = 0
        while start < entries.count {
            var end = start + 1
            while end < entries.count, entries[end] >> 32 == entries[start] >> 32 { end += 1 }
            if end - start > 1 { close(entries[start..<end], rule, &found) }
            start = end
        }
        return found
    }

    private func close(_ entries: ArraySlice<UInt64>, _ rule: [UInt32], _ found: inout Found) {
        let base = found.members.count
        for entry in entries {
            let record = UInt32(truncatingIfNeeded: entry)
            // A record with the same feature in two columns is there twice, side by side.
            if found.members.count == base || found.members[found.members.count - 1] != record {
                found.members.append(record)
            }
        }
        let size = found.members.count - base
        if size > 1, size <= cap {
            found.ends.append(UInt32(found.members.count))
            return
        }
        let records = size > 1 ? Array(found.members[base...]) : []
        found.members.removeLast(size)
        if records.isEmpty { return }
        let depth = rule[0].nonzeroBitCount
        let key = UInt32(truncatingIfNeeded: (entries.first ?? 0) >> 32)
        if records.count >= count / telling { found.common.append(contentsOf: records) }
        // What so many share tells nobody apart in company either: a street is a road or a lane.
        if depth < 3, records.count < count / telling {
            for record in records {
                for set in rule where self.key(set, Int(record)) == key { found.heavy.append((record, set)) }
            }
        }
        if depth == deepest { emitNeighbours(records, &found) }
    }

    private func emit(_ records: ArraySlice<UInt32>, _ found: inout Found) {
        guard records.count > 1 else { return }
        found.members.append(contentsOf: records)
        found.ends.append(UInt32(found.members.count))
    }

    /// Blocks of records that lie side by side when the block is sorted by all that is known of them.
    private func emitNeighbours(_ records: [UInt32], _ found: inout Found) {
        let sorted = records.sorted { a, b in
            let (rowA, rowB) = (Int(a) * width, Int(b) * width)
            for index in 0..<width where table.hashes[rowA + index] != table.hashes[rowB + index] {
                return table.hashes[rowA + index] < table.hashes[rowB + index]
            }
            return a < b
        }
        for start in stride(from: 0, to: sorted.count, by: cap / 2) {
            emit(sorted[start..<min(start + cap, sorted.count)].sorted()[...], &found)
        }
    }

    /// Whether all smaller combinations of the set are shared by too many.
    @inline(__always)
    private func isOpen(_ set: UInt32, _ record: Int) -> Bool {
        let size = set.nonzeroBitCount
        if size == 1 { return true }
        if heavy[record] & set != set { return false }
        if size == 2 { return true }
        var rest = set
        while rest != 0 {
            let bit = rest & (~rest &+ 1)
            let others = heavyPairs[record * width + bit.trailingZeroBitCount] | bit
            if others & set != set { return false }
            rest &= rest &- 1
        }
        return true
    }

    /// The hash of the features of a set, the same in whatever order; 0 when the record lacks one.
    @inline(__always)
    private func key(_ set: UInt32, _ record: Int) -> UInt32 {
        var sum: UInt64 = 0
        var rest = set
        while rest != 0 {
            let index = rest.trailingZeroBitCount
            let hash = table.hashes[record * width + index]
            if hash == 0 { return 0 }
            sum &+= UInt64(hash) &* 0xD6E8_FEB8_6659_FD93 ^ UInt64(table.features[index].space) << 32
            rest &= rest &- 1
        }
        return BlockingFeature.mixed(sum)
    }
}
