import Models
import Testing

@testable import IngestionDomain

@Suite("Whom a record is about")
struct RecordSubjectsTests {
    @Test(
        "a text names somebody by an address, a number or a vendor's id",
        arguments: [
            (" Ada@Example.com ", ["ada@example.com"]), ("Ada L. <ada@example.com>", ["ada@example.com"]),
            ("+49 (30) 1234-567", ["+49301234567"]), ("0049301234567", ["+49301234567"]),
            ("030 1234567", ["0301234567"]), ("cus_9s6XKzkNRiz8i3", ["cus_9s6XKzkNRiz8i3"]),
            ("003000000000001AAA", ["003000000000001AAA"]),
            ("gid://shopify/Customer/7", ["gid://shopify/Customer/7"]), ("gid://shopify/Order/7", []),
            ("12345678", []), ("2026-11-21T12:00:00Z", []), ("12.50", []), ("", []), ("@", []),
            ("paid", []), ("cus_", []),
        ])
    func names(_ text: String, _ names: [String]) {
        #expect(RecordSubjects.names(in: text) == names)
    }

    @Test("wherever they stand they are found, each once, and no more than can be kept")
    func found() {
        let record: JSON = [
            "a": ["b": [["email": "x@example.com"], "x@example.com"]], "n": 5, "z": "+4930123456",
        ]
        #expect(RecordSubjects.found(in: record) == ["x@example.com", "+4930123456"])
        let many = JSON.array((0..<1000).map { .string("u\($0)@example.com") })
        #expect(RecordSubjects.found(in: many).count == RecordSubjects.limit)
    }

    @Test("identity's names lead to what vendors write")
    func aliases() {
        #expect(RecordSubjects.aliases(of: "stripe:cus_9s6XKzkNRiz8i3") == ["cus_9s6XKzkNRiz8i3"])
        #expect(RecordSubjects.aliases(of: "shopify:7") == ["gid://shopify/Customer/7"])
        #expect(RecordSubjects.aliases(of: "hubspot:contact:7") == [])
        #expect(RecordSubjects.aliases(of: "ada@example.com") == [])
    }
}
