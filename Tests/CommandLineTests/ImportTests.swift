import ArgumentParser
import Foundation
import IngestionDomain
import Models
import Testing

@testable import CommandLine

@Suite struct ImportTests {
    private static let mapping = """
        mapping: shop
        columns: {order: text, price: decimal, at: {type: time, format: rfc3339}, who: text}
        group-by: order
        skip:
          - {reason: given away, when: [{column: price, is: 0}]}
        events:
          - {id: order, type: track, event: Order Completed, user-id: "{who}", timestamp: at}
        catalog: {key: order, item: {sku: {column: order}}}
        """

    private func file(_ text: String, _ name: String = "orders.csv") throws -> String {
        let path = FileManager.default.temporaryDirectory.appending(path: "martlet-\(UUID())-\(name)")
        try Data(text.utf8).write(to: path)
        return path.path
    }

    @Test("a mistake in a mapping is told with file, line and what was expected; all of them at once")
    func mistakes() throws {
        let text = Self.mapping.replacing("price: decimal", with: "price: money")
            .replacing("timestamp: at", with: "timestamp: when")
        do {
            _ = try MappingFile.read(Array(text.utf8), file: "shop.yaml")
            Issue.record("it was accepted")
        } catch {
            #expect(error.line == 2)
            #expect("\(error)".hasPrefix("shop.yaml:2: columns.price: expected text, integer, decimal"))
            #expect("\(error)".contains("\nshop.yaml:7: events.0.timestamp: expected one of the columns"))
        }
        do {
            _ = try MappingFile.read(Array("a: [".utf8), file: "shop.yaml")
            Issue.record("it was accepted")
        } catch {
            #expect("\(error)".hasPrefix("shop.yaml:") && "\(error)".contains("expected YAML"))
        }
    }

    @Test("a dry run counts every row of a file without any installation")
    func dryRun() throws {
        let path = try file(
            "order,price,at,who\n1,2.00,2026-01-01T00:00:00Z,u\n2,0,2026-01-01T00:00:00Z,u\n3,x,2026-01-01T00:00:00Z,u\n1,1.00,2026-01-01T00:00:00Z,u\n"
        )
        defer { try? FileManager.default.removeItem(atPath: path) }
        let mapping = try MappingFile.read(Array(Self.mapping.utf8), file: "shop.yaml").mapping
        let reading = LocalReading(path: path, definition: ImportDefinition(format: .csv, mapping: mapping))
        let survey = try reading.survey(withCatalog: true)
        #expect(survey?.catalog?.json.count == 2)
        #expect(
            try reading.rehearse(survey).text == """
                rows        4
                groups      3
                events      1
                skipped     1 groups, 1 rows: given away
                refused     1
                  line 4: price: expected a number such as 12.50, found “x”
                """)
    }

    @Test("the report of ingestion is told as sums of which each adds up")
    func report() throws {
        let report = try #require(
            ImportReport([
                "rows": ["read": 9, "imported": 5, "skipped": 2, "refused": 2], "groups": 6,
                "events": ["received": 4, "accepted": 1, "duplicate": 1, "quarantined": 1, "refused": 1],
                "problems": 3, "skipped": [["reason": "test", "groups": 1, "rows": 2]],
                "items": [["line": 7, "kind": "row", "reason": "why"]],
            ]))
        #expect(
            report.text == """
                rows        9
                groups      6
                events      4  = accepted 1 + duplicate 1 + quarantined 1 + refused by ingestion 1
                skipped     1 groups, 2 rows: test
                refused     3
                  line 7: why
                  … and 2 more
                """)
        #expect(ImportReport([:]) == nil)
    }

    @Test("a CSV file needs a mapping, and what files are is told by their names")
    func arguments() throws {
        #expect(throws: (any Error).self) { try ImportCommand.parse(["a.csv"]) }
        #expect(throws: (any Error).self) { try ImportCommand.parse(["a.ndjson", "--shift-to-now"]) }
        #expect(throws: (any Error).self) {
            try ImportCommand.parse(["a.csv", "--mapping", "m", "--format", "xls"])
        }
        for arguments in [
            ["a.ndjson"], ["a.jsonl.gz"],
            ["a.csv", "--mapping", "m", "--write-key", "w", "--batch-size", "5"],
            ["a.txt", "--format", "ndjson"],
        ] {
            _ = try ImportCommand.parse(arguments)
        }
    }
}
