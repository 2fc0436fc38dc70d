import Models
import ServiceKit
import Testing

@Suite("Rules that ask for somebody by name")
struct AskedNamesTests {
    private let asked = AskedNames(comparisons: ["equals", "in", "contains", "atLeast", "exists"])

    @Test(
        "what compares a name, or with what looks like one, is found however deep it stands",
        arguments: [
            ["trait": ["name": "email", "equals": "ada@example.com"]],
            ["trait": ["name": "nick", "equals": "ada@example.com"]],
            ["trait": ["name": "address.street", "contains": "Main"]],
            ["all": [["not": ["trait": ["name": "first_name", "in": ["Ada"]]]]]],
            ["count": ["event": "x", "where": [["property": "ref", "in": ["a", "+49 170 1234567"]]]]],
        ] as [JSON])
    func found(rule: JSON) {
        #expect(asked.stand(in: ["rule": rule]))
    }

    @Test(
        "what asks for something else is none",
        arguments: [
            ["trait": ["name": "plan", "equals": "pro"]], ["trait": ["name": "email", "exists": true]],
            ["count": ["event": "Email Opened", "atLeast": 3]],
            ["count": ["event": "Order Completed", "where": [["property": "total", "atLeast": 10]]]],
        ] as [JSON])
    func other(rule: JSON) {
        #expect(!asked.stand(in: ["name": "Readers of mails", "description": "by mail", "rule": rule]))
    }
}
