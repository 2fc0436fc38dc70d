import Foundation
import Models
import Testing

@testable import IngestionDomain

@Suite("Reading files into events") struct ImportReadingTests {
    private static let orders = """
        mapping: orders
        columns: {order: text, sku: text, quantity: integer, price: decimal, at: {type: time, format: rfc3339}, who: text}
        group-by: order
        skip:
          - {reason: test order, when: [{column: who, is: tester}]}
        events:
          - id: order
            type: track
            event: Order Completed
            user-id: "{who}"
            timestamp: at
            properties:
              order_id: "{order}"
              total: {sum-of: [quantity, price]}
              products: {rows: {sku: "{sku}", quantity: {column: quantity}}}
        """

    /// A random file: scattered groups, unreadable rows, quotes, blank lines.
    private struct Shop {
        var lines: [[String]] = []

        init(_ random: inout SeededGenerator) {
            let orders = random.number(1...12)
            for _ in 0..<random.number(0...40) {
                let order = random.number(1...orders)
                var row = [
                    random.chance(15) ? "" : "o\(order)", "sku \(random.number(1...5)), \"blue\"",
                    random.chance(12) ? "two" : "\(random.number(-3...9))",
                    "\(random.number(0...99)).\(random.number(10...99))",
                    "2026-01-01T10:00:00Z", order % 5 == 0 ? "tester" : "u\(order % 4)",
                ]
                if random.chance(20) { row.removeLast() }
                lines.append(row)
            }
        }

        var csv: String {
            (["order,sku,quantity,price,at,who"]
                + lines.map { $0.map { "\"\($0.replacing("\"", with: "\"\""))\"" }.joined(separator: ",") })
                .joined(separator: "\r\n")
        }

        /// What the events are, worked out in the plainest way.
        var expected: (events: [String: JSON], rows: Int, skipped: Int, refused: Int) {
            var groups: [String: [[String]]] = [:]
            var broken: Set<String> = []
            var (refused, skipped) = (0, 0)
            for line in lines {
                guard line.count == 6, !line[0].isEmpty else {
                    refused += 1
                    continue
                }
                groups[line[0], default: []].append(line)
                if Int(line[2]) == nil { broken.insert(line[0]) }
            }
            var events: [String: JSON] = [:]
            for (order, rows) in groups {
                if broken.contains(order) {
                    refused += rows.count
                    continue
                }
                if rows.allSatisfy({ $0[5] == "tester" }) {
                    skipped += rows.count
                    continue
                }
                let cents = rows.reduce(0) {
                    $0 + (Int($1[2]) ?? 0) * (Int($1[3].replacing(".", with: "")) ?? 0)
                }
                let digits = String(abs(cents))
                let padded = String(repeating: "0", count: max(0, 3 - digits.count)) + digits
                events["orders:order:\(order)"] = [
                    "order_id": .string(order),
                    "total": .string((cents < 0 ? "-" : "") + padded.dropLast(2) + "." + padded.suffix(2)),
                    "products": .array(
                        rows.map { ["sku": .string($0[1]), "quantity": .integer(Int64($0[2]) ?? 0)] }),
                ]
            }
            return (events, lines.count, skipped, refused)
        }
    }

    private func definition() throws -> ImportDefinition {
        ImportDefinition(format: .csv, mapping: try ImportMappingTests.mapping(Self.orders))
    }

    @Test("random files come to what the plainest reading of them says, however they are cut")
    func oracle() throws {
        var random = planGenerator()
        let definition = try definition()
        for _ in 0..<150 {
            let shop = Shop(&random)
            let expected = shop.expected
            let groups = try ImportTexts.groups(shop.csv, definition, pieces: random.number(1...200))
            var events: [String: JSON] = [:]
            var (skipped, refused) = (0, 0)
            for group in groups {
                switch group.outcome {
                case .events(let items):
                    for item in items {
                        let event = try JSONParser.parse(item)
                        events[event["messageId"]?.string ?? "?"] = event["properties"]
                    }
                case .skipped: skipped += group.rows
                case .refused: refused += group.rows
                }
            }
            #expect(events == expected.events)
            #expect(skipped == expected.skipped)
            #expect(refused == expected.refused)
            #expect(groups.reduce(0) { $0 + $1.rows } == expected.rows)
        }
    }

    @Test("batches from any checkpoint on are what is left of the batches from the beginning")
    func checkpoints() throws {
        var random = planGenerator()
        let definition = try definition()
        for _ in 0..<60 {
            let csv = Shop(&random).csv
            var limits = BatchCutter.Limits(events: random.number(1...5))
            limits.groups = random.number(1...6)
            let all = try ImportTexts.batches(csv, definition, skip: 0, limits: limits)
            let rows = all.reduce(0) { $0 + $1.counts.rows }
            #expect(rows == csv.split(separator: "\r\n").count - 1)
            for (index, batch) in all.enumerated() {
                let rest = try ImportTexts.batches(
                    csv, definition, skip: batch.lastGroup, limits: limits, pieces: random.number(1...100))
                #expect(rest == Array(all[(index + 1)...]))
            }
        }
    }

    @Test("records of NDJSON become the same events as rows of CSV")
    func ndjson() throws {
        var random = planGenerator()
        let mapping = try ImportMappingTests.mapping(Self.orders)
        let names = ["order", "sku", "quantity", "price", "at", "who"]
        for _ in 0..<40 {
            var shop = Shop(&random)
            shop.lines.removeAll { $0.count != 6 }
            let text = shop.lines.map { line in
                let members = zip(names, line).map { name, value -> (String, JSON) in
                    (
                        name,
                        name == "quantity" ? Int64(value).map(JSON.integer) ?? .string(value) : .string(value)
                    )
                }
                return JSON.object(Dictionary(uniqueKeysWithValues: members)).compact
            }.joined(separator: "\n")
            func outcomes(_ format: ImportFormat, _ text: String) throws -> [ImportGroup.Outcome] {
                try ImportTexts.groups(text, ImportDefinition(format: format, mapping: mapping)).filter {
                    if case .events = $0.outcome { true } else { false }
                }.map(\.outcome)
            }
            #expect(try outcomes(.ndjson, text) == outcomes(.csv, shop.csv))
        }
    }

    @Test("lines that are no records are refused with their number, and cost their neighbours nothing")
    func badLines() throws {
        let definition = ImportDefinition(
            format: .ndjson, mapping: try ImportMappingTests.mapping(Self.orders))
        let good = #"{"order":"1","quantity":1,"price":"2","at":"2026-01-01T00:00:00Z","who":"u"}"#
        let text = "\u{FEFF}" + good + "\n\nnonsense\n[1]\n" + #"{"order":{"id":1}}"# + "\n"
        let groups = try ImportTexts.groups(text, definition, pieces: 7)
        #expect(groups.map(\.line) == [1, 3, 4, 5])
        guard case .events = groups[0].outcome else {
            Issue.record("the good line is an event: \(groups[0])")
            return
        }
        for group in groups.dropFirst() {
            guard case .refused(let refusals) = group.outcome else {
                Issue.record("\(group)")
                continue
            }
            #expect(refusals.first?.line == group.line)
        }
    }

    @Test("a line without a mapping is a call as it is; one that is too long is refused without being held")
    func calls() throws {
        var limits = ImportLimits()
        limits.rowBytes = 50
        var reading = ImportReading(
            ImportDefinition(format: .ndjson, mapping: nil), survey: nil, limits: limits)
        var groups: [ImportGroup] = []
        let text = "{\"a\":1}\n" + String(repeating: "x", count: 500) + "\n\n{\"b\":2}"
        for piece in ImportTexts.cut(text, 9) {
            reading.append(piece)
            while let group = try reading.next() { groups.append(group) }
        }
        reading.finish()
        while let group = try reading.next() { groups.append(group) }
        #expect(groups.map(\.line) == [1, 2, 4])
        #expect(groups.map(\.outcome).first == .events([Array(#"{"a":1}"#.utf8)]))
        #expect(groups.last?.outcome == .events([Array(#"{"b":2}"#.utf8)]))
        guard case .refused = groups[1].outcome else {
            Issue.record("\(groups[1])")
            return
        }
    }

    @Test("a group of too many rows is refused whole, and so many that lie too far apart end the file")
    func limits() throws {
        let definition = try definition()
        let row = "o1,s,1,2.00,2026-01-01T00:00:00Z,u\n"
        let text = "order,sku,quantity,price,at,who\n" + String(repeating: row, count: 8)
        func groups(_ limits: ImportLimits) throws -> [ImportGroup] {
            var reading = ImportReading(
                definition, survey: try ImportTexts.survey(text, definition), limits: limits)
            reading.append(Array(text.utf8))
            reading.finish()
            var groups: [ImportGroup] = []
            while let group = try reading.next() { groups.append(group) }
            return groups
        }
        var few = ImportLimits()
        few.groupRows = 5
        let refused = try groups(few)
        #expect(refused.count == 1)
        #expect(refused.first?.rows == 8)
        guard case .refused? = refused.first?.outcome else {
            Issue.record("\(refused)")
            return
        }
        var small = ImportLimits()
        small.openBytes = 100
        #expect(throws: UnreadableFile.self) { try groups(small) }
    }

    @Test("a sum of the largest amounts there are, in the most rows there may be, is exact")
    func largeSums() throws {
        let mapping = try ImportMappingTests.mapping(Self.orders)
        let rows = (0..<ImportLimits().groupRows).map { index in
            ImportRow(
                line: index,
                values: mapping.columns.map { column in
                    switch column.name {
                    case "quantity": .integer(99_999_999_999)
                    case "price":
                        .decimal(ExactDecimal(index == 0 ? "0.000001" : "99999999999") ?? .zero)
                    default: .text("x")
                    }
                })
        }
        let sum = RowExpression.sum(
            [
                mapping.columns.firstIndex { $0.name == "quantity" } ?? 0,
                mapping.columns.firstIndex { $0.name == "price" } ?? 0,
            ], negate: true
        ).json(rows[...])
        #expect(
            sum == "-99989999997999900010098999.999999" || sum.string?.hasSuffix(".999999") == true, "\(sum)")
    }
}
