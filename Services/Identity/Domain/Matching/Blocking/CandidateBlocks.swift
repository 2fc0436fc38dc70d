/// Which records are worth comparing: those that share a set of features which few records share.
///
/// A feature that at most `cap` records have makes a block. Those that more have are combined two by two, and what is
/// still too large three by three, as frequent sets of items are found (Agrawal & Srikant 1994). So a rare surname is
/// enough to be compared, a frequent one takes the month of birth or the street besides, and a pair is missed only when
/// everything that the records share is shared by many. Blocks that are too large for all that are sorted, and
/// neighbours compared (Hernández & Stolfo 1995).
struct CandidateBlocks: Sendable {
    /// The blocks one after the other, records ascending.
    private(set) var members: [UInt32] = []
    private(set) var starts: [UInt32] = [0]
    /// The blocks of each record.
    private var blockList: [UInt32] = []
    private var blockStarts: [UInt32] = []

    /// Records of a block, at most: fewer where there are many records, so that the work grows as they do. Whether it is
    /// 8 or 40 hardly shows in what is found.
    static func cap(for records: Int) -> Int { max(8, min(40, 1_500_000 / max(1, records))) }

    init(_ table: FeatureTable, count: Int, workers: MatchWorkers) {
        var search = BlockSearch(table, count: count, cap: Self.cap(for: count))
        for depth in 1...3 { for each in search.pass(depth, workers) { add(each) } }
        add(search.rest(without: members))
        list(count)
    }

    private mutating func add(_ found: BlockSearch.Found) {
        let base = UInt32(members.count)
        members.append(contentsOf: found.members)
        starts.append(contentsOf: found.ends.map { $0 + base })
    }

    private mutating func list(_ count: Int) {
        var places = [UInt32](repeating: 0, count: count + 1)
        for member in members { places[Int(member) + 1] += 1 }
        for record in 0..<count { places[record + 1] += places[record] }
        blockStarts = places
        blockList = [UInt32](repeating: 0, count: members.count)
        for block in 0..<(starts.count - 1) {
            for index in Int(starts[block])..<Int(starts[block + 1]) {
                let record = Int(members[index])
                blockList[Int(places[record])] = UInt32(block)
                places[record] += 1
            }
        }
    }

    /// Calls with every earlier record that the record shares a block with, some of them several times.
    @inline(__always)
    func forEachEarlier(_ record: Int, _ body: (Int) -> Void) {
        for index in Int(blockStarts[record])..<Int(blockStarts[record + 1]) {
            let block = Int(blockList[index])
            for place in Int(starts[block])..<Int(starts[block + 1]) {
                let other = Int(members[place])
                if other >= record { break }
                body(other)
            }
        }
    }

    /// About how many pairs there are, by one record of every so many; pairs that are found twice count once.
    func pairs(of records: Int, every: Int) -> Int {
        var seen = [UInt32](repeating: .max, count: records)
        var count = 0
        for record in stride(from: 0, to: records, by: every) {
            forEachEarlier(record) { other in
                if seen[other] == UInt32(record) { return }
                seen[other] = UInt32(record)
                count += 1
            }
        }
        return count * every
    }
}
