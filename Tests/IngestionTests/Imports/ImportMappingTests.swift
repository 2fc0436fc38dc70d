import Foundation
import MarkedYAML
import Models
import Testing

@testable import IngestionDomain

@Suite("Mappings of files") struct ImportMappingTests {
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

    static func mapping(_ yaml: String) throws -> ImportMapping {
        try ImportMapping(json: try YAMLReader.parse(Array(yaml.utf8), what: "a mapping", depth: 64).json)
    }

    private func groups(_ csv: String, shift: Duration = .zero) throws -> [ImportGroup.Outcome] {
        let definition = ImportDefinition(format: .csv, mapping: try Self.mapping(Self.small))
        return try ImportTexts.groups(csv, definition, shift: shift).map(\.outcome)
    }

    /// The events of each group, and none of one that is skipped or refused.
    private func events(_ csv: String, shift: Duration = .zero) throws -> [JSON] {
        try groups(csv, shift: shift).flatMap { outcome -> [JSON] in
            guard case .events(let events) = outcome else { return [] }
            return try events.map { try JSONParser.parse($0) }
        }
    }

    private let header = "Order,Sku,Quantity,Price,At,Customer\n"

    @Test("rows of one order become one event with exact totals, however they are scattered")
    func grouping() throws {
        let events = try events(
            header
                + "1,a,2,0.10,2024-01-01 10:00,7.0\n2,b,1,5,2024-01-01 11:00,\n1,A,1,0.2,2024-01-01 10:01,7.0\n"
        )
        try #require(events.count == 2)
        let (second, first) = (events[0], events[1])
        #expect(first["userId"] == "7")
        #expect(first["messageId"] == "shop:order:1")
        #expect(first["timestamp"] == "2024-01-01T10:00:00.000Z")
        #expect(first[path: "properties.total"] == "0.40")
        #expect(first[path: "properties.products.1.sku"] == "A")
        #expect(first[path: "properties.products.0.quantity"] == -2)
        #expect(first[path: "properties.products.0.price"] == "0.10")
        #expect(second["userId"] == nil)
        #expect(second["anonymousId"] == "shop-2")
    }

    @Test("a group is skipped only when every row fits the reason")
    func skipping() throws {
        let outcomes = try groups(
            header + "1,a,2,0,2024-01-01 10:00,7\n2,a,2,0,2024-01-01 10:00,7\n2,b,2,1,2024-01-01 10:00,7\n")
        #expect(outcomes.first == .skipped(reason: "given away"))
        guard case .events? = outcomes.last else {
            Issue.record("the second order has a priced row")
            return
        }
    }

    @Test("an unreadable row refuses its whole group, with its line and what was expected")
    func refusals() throws {
        let outcomes = try groups(
            header
                + "1,a,two,1,2024-01-01 10:00,7\n1,b,1,1,2024-01-01 10:00,7\n2,a\n3,a,1,1,2024-02-30 10:00,7\n"
                + "4,a,1,1,2024-01-01 10:00,7\n4,a,1,1,2024-01-01 10:00,8\nX,a,1,1,2024-01-01 10:00,7\n")
        let reasons = outcomes.map { outcome in
            if case .refused(let refusals) = outcome {
                "\(refusals[0].line): \(refusals[0])"
            } else {
                ""
            }
        }
        try #require(reasons.count == 5)
        #expect(reasons[0].hasPrefix("2: Quantity: expected a whole number, found “two”"))
        #expect(reasons[1].hasPrefix("4: 2 fields; expected 6"))
        #expect(
            reasons[2].hasPrefix("5: At: expected a time like yyyy-MM-dd HH:mm, found “2024-02-30 10:00”"))
        #expect(
            reasons[3].contains(
                "Customer is another one in line 7; expected one per group, found “7” and “8”"))
        #expect(reasons[4].contains("no rule of the mapping fits"))
    }

    @Test("a shift moves every time and no message id")
    func shift() throws {
        let events = try events(header + "1,a,2,1,2024-01-01 10:00,7\n", shift: .days(7))
        #expect(events.first?["timestamp"] == "2024-01-08T10:00:00.000Z")
        #expect(events.first?["messageId"] == "shop:order:1")
    }

    @Test("the catalog takes the latest or the most frequent value")
    func catalog() throws {
        var survey = FileSurvey(try Self.mapping(Self.small), format: .csv, withCatalog: true)
        try survey.append(
            Array(
                (header + "1,a,1,2,2024-01-01 10:00,\n2,A,1,3,2024-01-01 10:00,\n3,a,1,3,2024-01-01 10:00,\n")
                    .utf8))
        try survey.finish()
        #expect(survey.catalog?.json == [["sku": "A", "price": "3.00", "currency": "GBP"]])
    }

    @Test("a header without a mapped column is refused, naming it")
    func missingColumn() throws {
        #expect(throws: UnreadableFile.self) { try groups("Order,Sku\n") }
        do { _ = try groups("Order,Sku\n") } catch {
            #expect("\(error)".hasPrefix("line 1: the header lacks the column \"At\""), "\(error)")
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
            ("is: 0", "equals: 0", 13, "expected exactly one of empty, is"),
            ("type: track", "type: trak", 18, "expected one of `track`, `identify`"),
            ("event: Order Completed", "name: Order Completed", 19, "found `name`"),
            ("user-id: \"{Customer}\"", "user-id: \"{Customr}\"", 20, "found the column “Customr”"),
            ("anonymous-id: \"shop-{Order}\"", "anonymous-id: \"shop-{Order\"", 21, "a } after every {"),
            ("timestamp: At", "timestamp: Price", 22, "a column of type time"),
            ("sum-of: [Quantity, Price]", "sum-of: [Quantity, At]", 25, "type integer or decimal"),
            ("column: Quantity, negate: true", "column: Quantity, negate: yes", 31, "true or false"),
            ("choose: most-frequent", "choose: cheapest", 36, "one of `latest`, `first`, `most-frequent`"),
            ("group-by: Order", "group-by: [Order", 0, "expected YAML"),
            ("group-by: Order", "group-by: Order\ngroup-by: Sku", 0, "expected each key once"),
        ])
    func mistakes(_ right: String, _ wrong: String, _ line: Int, _ expectation: String) throws {
        let text = Self.small.replacing(right, with: wrong)
        try #require(text != Self.small)
        do {
            _ = try Self.mapping(text)
            Issue.record("\(wrong) was accepted")
        } catch let error as InvalidMapping {
            let node = try YAMLReader.parse(Array(text.utf8), what: "a mapping", depth: 64)
            let found = error.mistakes.map { (line: node.mark(at: $0.path).line, text: "\($0)") }
            #expect(found.contains { $0.line == line && $0.text.contains(expectation) }, "\(found)")
        } catch let error as YAMLMistake {
            #expect("expected \(error.expected)".contains(expectation), "\(error)")
        }
    }

    static let contacts = """
        mapping: contacts
        columns: {Contact: text, Account: text, Mail: text, At: {type: time, format: rfc3339}}
        events:
          - id: contact
            type: identify
            external-ids: [{type: "salesforce:contact", id: "{Contact}"}, {type: email, id: "{Mail}"}]
            timestamp: At
            traits: {email: "{Mail}"}
          - id: account
            when: [{column: Account, empty: false}]
            type: group
            external-ids: [{type: "salesforce:contact", id: "{Contact}"}]
            group-id: "{Account}"
            timestamp: At
            traits: {source: crm}
        """

    @Test("contacts of a CRM are named by its ids, and belong to accounts")
    func externalIDs() throws {
        let definition = ImportDefinition(format: .csv, mapping: try Self.mapping(Self.contacts))
        let at = "2026-01-01T10:00:00Z"
        let outcomes = try ImportTexts.groups(
            "Contact,Account,Mail,At\n003,acme,ada@example.com,\(at)\n004,,,\(at)\n,,,\(at)\n", definition
        ).map(\.outcome)
        var events: [TrackingEvent] = []
        for case .events(let calls) in outcomes {
            for call in calls { events.append(try parse(String(decoding: call, as: UTF8.self))) }
        }
        #expect(events.map(\.kind) == [.identify, .group, .identify])
        #expect(events.allSatisfy { $0.userID == nil && $0.anonymousID == nil })
        #expect(
            events.map { Identifier.external(in: $0.context).map(\.name) } == [
                ["salesforce:contact:003", "ada@example.com"], ["salesforce:contact:003"],
                ["salesforce:contact:004"],
            ])
        #expect(events[0].traits == ["email": "ada@example.com"])
        #expect(events[1].groupID == "acme" && events[1].traits == ["source": "crm"])
        guard case .refused(let refusals)? = outcomes.last else {
            Issue.record("\(outcomes)")
            return
        }
        #expect(refusals.first?.reason.hasPrefix("nobody") == true)
        for (right, wrong, expectation) in [
            ("type: group", "type: identify", "`group-id` with the type group"),
            ("    group-id: \"{Account}\"\n", "", "`group-id` with the type group"),
            ("type: email", "type: e mail", "a type such as salesforce:contact"),
            ("id: \"{Mail}\"}", "value: 1}", "`id`"),
        ] {
            let text = Self.contacts.replacing(right, with: wrong)
            try #require(text != Self.contacts)
            do {
                _ = try Self.mapping(text)
                Issue.record("\(wrong) was accepted")
            } catch let error as InvalidMapping {
                #expect(error.mistakes.contains { "\($0)".contains(expectation) }, "\(error.mistakes)")
            }
        }
    }

    @Test("a number is not taken for a text, because YAML would write 007 as 7")
    func numbers() {
        let text = Self.small.replacing("like: \"[0-9]*\"", with: "is: 007")
        #expect(throws: InvalidMapping.self) { try Self.mapping(text) }
    }

    @Test("the mapping of the retail file in deploy/examples is right")
    func example() throws {
        let path = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
            .appendingPathComponent("../../../deploy/examples/mappings/online-retail.yaml").path
        let mapping = try Self.mapping(try String(contentsOfFile: path, encoding: .utf8))
        #expect(mapping.columns.count == 8)
        #expect(mapping.events.map(\.event) == ["Order Completed", "Order Refunded"])
    }
}
