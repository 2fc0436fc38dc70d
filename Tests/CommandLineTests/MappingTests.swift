import Foundation
import Models
import Testing

@testable import CommandLine

@Suite struct MappingTests {
    static let small = """
        mapping: shop
        columns:
          Order: text
          Sku: { type: text, case: upper }
          Quantity: integer
          Price: decimal
          At: { type: time, format: "yyyy-MM-dd HH:mm", zone: UTC }
          Customer: { type: text, drop-suffix: ".0" }
        group-by: Order
        skip:
          - reason: given away
            when:
              - { column: Price, is: 0 }
        events:
          - id: order
            when:
              - { column: Order, like: "[0-9]*" }
            type: track
            event: Order Completed
            user-id: "{Customer}"
            anonymous-id: "shop-{Order}"
            timestamp: At
            properties:
              order_id: "{Order}"
              total: { sum-of: [Quantity, Price] }
              currency: GBP
              products:
                rows:
                  sku: "{Sku}"
                  price: { column: Price }
                  quantity: { column: Quantity, negate: true }
        catalog:
          key: Sku
          item:
            sku: { column: Sku }
            price: { column: Price, choose: most-frequent }
            currency: GBP
        """

    private func outcomes(
        _ csv: String, mapping text: String = MappingTests.small, shift: Duration = .zero
    ) throws -> [EventBuilder.Outcome] {
        let mapping = try MappingReader.read(text, file: "shop.yaml")
        func reader() throws -> RowReader {
            var bytes: [UInt8]? = Array(csv.utf8)
            return try RowReader(mapping: mapping, file: "shop.csv") {
                defer { bytes = nil }
                return bytes
            }
        }
        let survey = try FileSurvey(mapping: mapping, reader: reader())
        var grouping = RowGrouping(reader: try reader(), survey: survey)
        let builder = EventBuilder(mapping: mapping, shift: shift)
        var outcomes: [EventBuilder.Outcome] = []
        while let item = try grouping.next() {
            switch item {
            case .group(let group): outcomes.append(builder.outcome(of: group))
            case .refused(let refusal): outcomes.append(.refused([refusal]))
            }
        }
        return outcomes
    }

    private let header = "Order,Sku,Quantity,Price,At,Customer\n"

    @Test("rows of one order become one event with exact totals, however they are scattered")
    func grouping() throws {
        let outcomes = try outcomes(
            header
                + "1,a,2,0.10,2024-01-01 10:00,7.0\n2,b,1,5,2024-01-01 11:00,\n1,A,1,0.2,2024-01-01 10:01,7.0\n"
        )
        guard case .events(let second)? = outcomes.first, case .events(let first)? = outcomes.last else {
            Issue.record("expected two events, got \(outcomes)")
            return
        }
        #expect(first.first?["userId"] == "7")
        #expect(first.first?["messageId"] == "shop:order:1")
        #expect(first.first?["timestamp"] == "2024-01-01T10:00:00.000Z")
        #expect(first.first?[path: "properties.total"] == "0.40")
        #expect(first.first?[path: "properties.products.1.sku"] == "A")
        #expect(first.first?[path: "properties.products.0.quantity"] == -2)
        #expect(first.first?[path: "properties.products.0.price"] == "0.10")
        #expect(second.first?["userId"] == nil)
        #expect(second.first?["anonymousId"] == "shop-2")
    }

    @Test("a group is skipped only when every row fits the reason")
    func skipping() throws {
        let outcomes = try outcomes(
            header + "1,a,2,0,2024-01-01 10:00,7\n2,a,2,0,2024-01-01 10:00,7\n2,b,2,1,2024-01-01 10:00,7\n")
        #expect(outcomes.first == .skipped(reason: "given away", rows: 1))
        guard case .events? = outcomes.last else {
            Issue.record("the second order has a priced row")
            return
        }
    }

    @Test("an unreadable row refuses its whole group, with its line and what was expected")
    func refusals() throws {
        let outcomes = try outcomes(
            header
                + "1,a,two,1,2024-01-01 10:00,7\n1,b,1,1,2024-01-01 10:00,7\n2,a\n3,a,1,1,2024-02-30 10:00,7\n"
                + "4,a,1,1,2024-01-01 10:00,7\n4,a,1,1,2024-01-01 10:00,8\nX,a,1,1,2024-01-01 10:00,7\n")
        let reasons = outcomes.map { outcome in
            if case .refused(let refusals) = outcome {
                "\(refusals[0].line): \(refusals[0].reason)"
            } else {
                ""
            }
        }
        try #require(reasons.count == 5)
        #expect(reasons[0].hasPrefix("2: Quantity is \"two\"; expected a whole number"))
        #expect(reasons[1].hasPrefix("4: 2 fields; expected 6"))
        #expect(reasons[2].hasPrefix("5: At is \"2024-02-30 10:00\"; expected a time like yyyy-MM-dd HH:mm"))
        #expect(reasons[3].contains("Customer is \"7\" here and \"8\" in line 7"))
        #expect(reasons[4].contains("no rule of the mapping fits \"X\""))
    }

    @Test("a shift moves every time and no message id")
    func shift() throws {
        guard
            case .events(let events)? = try outcomes(header + "1,a,2,1,2024-01-01 10:00,7\n", shift: .days(7))
                .first
        else {
            Issue.record("expected an event")
            return
        }
        #expect(events.first?["timestamp"] == "2024-01-08T10:00:00.000Z")
        #expect(events.first?["messageId"] == "shop:order:1")
    }

    @Test("the catalog takes the latest or the most frequent value")
    func catalog() throws {
        let mapping = try MappingReader.read(Self.small, file: "shop.yaml")
        var bytes: [UInt8]? = Array(
            (header + "1,a,1,2,2024-01-01 10:00,\n2,A,1,3,2024-01-01 10:00,\n3,a,1,3,2024-01-01 10:00,\n")
                .utf8)
        let reader = try RowReader(mapping: mapping, file: "shop.csv") {
            defer { bytes = nil }
            return bytes
        }
        let survey = try FileSurvey(mapping: mapping, reader: reader)
        #expect(survey.catalog?.json == [["sku": "A", "price": "3.00", "currency": "GBP"]])
    }

    @Test("a header without a mapped column is refused, naming it")
    func missingColumn() throws {
        #expect(throws: FileProblem.self) { try outcomes("Order,Sku\n") }
        do { _ = try outcomes("Order,Sku\n") } catch {
            #expect("\(error)".hasPrefix("shop.csv:1: the header lacks the column \"Quantity\""))
        }
    }

    @Test(
        "a mistake is refused with its line and what was expected",
        arguments: [
            ("mapping: shop", "mapping: Shop!", 1, "lower-case letters"),
            ("Quantity: integer", "Quantity: whole", 5, "expected text, integer, decimal"),
            ("zone: UTC", "zone: Mars/Base", 7, "a time zone such as Europe/London"),
            ("yyyy-MM-dd HH:mm", "MMM d", 7, "a format of y, M, d"),
            ("group-by: Order", "group-by: Ordr", 9, "one of the columns"),
            ("is: 0", "is: nought", 13, "a number"),
            ("is: 0", "equals: 0", 13, "expected one of column, empty, is"),
            ("type: track", "type: trak", 18, "expected track or identify"),
            ("event: Order Completed", "name: Order Completed", 19, "has no key \"name\""),
            ("user-id: \"{Customer}\"", "user-id: \"{Customr}\"", 20, "names the column \"Customr\""),
            ("anonymous-id: \"shop-{Order}\"", "anonymous-id: \"shop-{Order\"", 21, "a } after every {"),
            ("timestamp: At", "timestamp: Price", 22, "a column of type time"),
            ("sum-of: [Quantity, Price]", "sum-of: [Quantity, At]", 25, "type integer or decimal"),
            ("column: Quantity, negate: true", "column: Quantity, negate: yes", 31, "true or false"),
            ("choose: most-frequent", "choose: cheapest", 36, "latest, first or most-frequent"),
            ("group-by: Order", "group-by: [Order", 0, "not YAML"),
            ("group-by: Order", "group-by: Order\ngroup-by: Sku", 0, "given twice"),
        ])
    func mistakes(_ right: String, _ wrong: String, _ line: Int, _ expectation: String) throws {
        let text = Self.small.replacing(right, with: wrong)
        try #require(text != Self.small)
        do {
            _ = try MappingReader.read(text, file: "shop.yaml")
            Issue.record("\(wrong) was accepted")
        } catch {
            #expect(error.file == "shop.yaml")
            if line > 0 { #expect(error.line == line, "\(error)") }
            #expect(error.message.contains(expectation), "\(error)")
        }
    }

    @Test("the mapping of the retail file in deploy/examples is right")
    func example() throws {
        let path = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
            .appendingPathComponent("../../deploy/examples/mappings/online-retail.yaml").path
        let mapping = try MappingReader.read(path: path)
        #expect(mapping.columns.count == 8)
        #expect(mapping.events.map(\.event) == ["Order Completed", "Order Refunded"])
    }
}
