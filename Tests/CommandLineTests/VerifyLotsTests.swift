import Models
import Testing

@testable import CommandLine

@Suite("All the signed ends of a file are compared")
struct VerifyLotsTests {
    @Test(
        "they are sent in lots, the newest first, each once", arguments: [0, 1, 499, 500, 501, 1_000, 8_760])
    func lots(count: Int) {
        let ends = (0..<count).map { JSON.integer(Int64($0)) }
        let lots = VerifyLedgerCommand.lots(ends)
        #expect(lots.reversed().flatMap { $0 } == ends)
        #expect(lots.allSatisfy { $0.count <= 500 } && lots.count == max(1, (count + 499) / 500))
    }

    @Test("what one lot finds makes the whole invalid, and no fault is told twice")
    func merged() {
        func report(_ faults: [JSON], shard: Int64 = 3) -> JSON {
            [
                "valid": .bool(faults.isEmpty), "entries": 7,
                "shards": [["shard": .integer(shard), "faults": .array(faults)]],
            ]
        }
        let (edited, cut): (JSON, JSON) = (
            ["kind": "edited", "position": 2], ["kind": "truncated", "position": 5]
        )
        let merged = VerifyLedgerCommand.merged([
            report([edited]), report([edited, cut]), report([cut], shard: 4), report([]),
        ])
        #expect(merged["valid"] == false && merged["entries"] == 7)
        #expect(
            merged["shards"] == [
                ["shard": 3, "faults": [edited, cut]], ["shard": 4, "faults": [cut]],
            ])
        #expect(VerifyLedgerCommand.merged([report([]), report([])])["valid"] == true)
    }
}
