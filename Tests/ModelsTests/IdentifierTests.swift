import Models
import Testing

@Suite("Identifiers")
struct IdentifierTests {
    @Test("addresses are normalised, other values taken as they are")
    func normalised() {
        #expect(Identifier(.email, "  Some.One@Example.ORG\n")?.value == "some.one@example.org")
        #expect(Identifier(.email, "\"a@b\"@example.org")?.value == "\"a@b\"@example.org")
        #expect(Identifier(.userID, " Anna ")?.value == " Anna ")
        #expect(Identifier(.userID, "17850") != Identifier(.anonymousID, "17850"))
    }

    @Test(
        "what nobody can be known by is no identifier",
        arguments: [
            "", " ", "@", "a@", "@b", "a b@c.org", "nobody", String(repeating: "a", count: 250) + "@b.org",
        ])
    func unusable(value: String) {
        #expect(Identifier(.email, value) == nil)
        #expect(Identifier(.userID, nil) == nil)
        #expect(Identifier(.userID, "") == nil)
        #expect(Identifier(.anonymousID, "a\0b") == nil)
    }

    @Test("the JSON form is read and written, and mistakes are named")
    func json() throws {
        let identifier = try Identifier(json: ["type": "email", "value": "A@x.org"])
        #expect(identifier.json == ["type": "email", "value": "a@x.org"])
        let wrongType = #expect(throws: DecodingProblem.self) {
            try Identifier(json: ["type": "no type", "value": "1"])
        }
        #expect(wrongType?.path == "type")
        #expect(try Identifier(json: ["type": "zendesk:user", "value": "1"]).kind.rawValue == "zendesk:user")
        let wrongValue = #expect(throws: DecodingProblem.self) {
            try Identifier(json: ["type": "email", "value": "x"], at: "subject")
        }
        #expect(wrongValue?.path == "subject.value")
        let long = String(repeating: "x", count: 1025)
        #expect(throws: DecodingProblem.self) {
            try Identifier(json: ["type": "userId", "value": .string(long)])
        }
    }
}
