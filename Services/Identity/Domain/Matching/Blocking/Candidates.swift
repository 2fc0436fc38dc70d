/// The pairs of records that are compared.
enum Candidates: Sendable {
    case all
    case blocks(CandidateBlocks)

    init(_ table: MatchTable, _ choice: RecordMatching.Choice, workers: MatchWorkers) {
        let isSmall = table.count <= RecordMatching.smallTable
        self =
            choice == .every || choice == .automatic && isSmall
            ? .all
            : .blocks(
                CandidateBlocks(FeatureTable(table, workers: workers), count: table.count, workers: workers))
    }

    /// About how many pairs there are.
    func count(of records: Int) -> Int {
        switch self {
        case .all: records * max(0, records - 1) / 2
        case .blocks(let blocks): blocks.pairs(of: records, every: 16)
        }
    }

    /// What `body` makes of each pair of every so many records, in an order of its own that is always the same.
    func mapPairs<Result: Sendable>(
        of table: MatchTable, every: Int, workers: MatchWorkers,
        _ body: @Sendable (Int, Int, TableView) -> Result?
    ) -> [Result] {
        let records = table.count
        let pieces = max(1, min(64, records / 500))
        let found = workers.map(pieces) { piece in
            table.withView { view in
                var results: [Result] = []
                var seen = [UInt32](repeating: .max, count: records)
                for record in stride(from: piece, to: records, by: pieces) where Self.isTaken(record, every) {
                    switch self {
                    case .all:
                        for other in 0..<record {
                            if let result = body(other, record, view) { results.append(result) }
                        }
                    case .blocks(let blocks):
                        blocks.forEachEarlier(record) { other in
                            if seen[other] == UInt32(record) { return }
                            seen[other] = UInt32(record)
                            if let result = body(other, record, view) { results.append(result) }
                        }
                    }
                }
                return results
            }
        }
        return found.flatMap { $0 }
    }

    private static func isTaken(_ record: Int, _ every: Int) -> Bool {
        every == 1 || UInt64(BlockingFeature.mixed(UInt64(record) + 1)) % UInt64(every) == 0
    }
}
