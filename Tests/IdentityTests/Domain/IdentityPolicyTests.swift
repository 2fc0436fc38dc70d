import IdentityDomain
import Models
import Testing

@testable import IdentityServer

extension IdentityPolicy {
    /// The shipped policy with another number of addresses.
    static func with(emails: Int? = 5, window: Duration? = nil, region: String? = nil) -> IdentityPolicy {
        let types = standard.types.map { type in
            var type = type
            if type.kind == .email {
                type.limit = emails
                type.window = window
            }
            return type
        }
        return IdentityPolicy(
            types: types, others: standard.others, blocked: standard.blocked, defaultRegion: region)
    }
}

@Suite("What counts as an identifier")
struct IdentityPolicyTests {
    private let policy = IdentityPolicy.standard

    private func reason(_ kind: Identifier.Kind, _ raw: String) -> String? {
        do {
            _ = try policy.identifier(kind, raw)
            return nil
        } catch {
            return error.reason
        }
    }

    @Test("the shipped file says what the shipped policy is")
    func shipped() throws {
        #expect(try PolicyReader.read(Array(ShippedPolicy.source.utf8)) == .standard)
    }

    @Test("values are brought to one form")
    func normalised() throws {
        #expect(
            try policy.identifier(.email, "  Jos\u{65}\u{301}@Example.ORG ").value == "jos\u{e9}@example.org")
        #expect(try policy.identifier(.email, "\u{FF21}@x.org").value == "a@x.org")
        #expect(try policy.identifier(.userID, " Anna ").value == " Anna ")
        let contact = try #require(Identifier.Kind(rawValue: "salesforce:contact"))
        #expect(try policy.identifier(contact, " 003A ").value == "003A")
    }

    @Test(
        "telephone numbers are international, those without a country are of the default region",
        arguments: [
            ("+41 79 123 45 67", "+41791234567"), ("0041-79-123 45 67", "+41791234567"),
            ("+41 (0)79 123 45 67", "+41791234567"), ("079 123 45 67", "+41791234567"), ("12345", nil),
            ("call me", nil), ("+0 79 123 45 67", nil), ("+4179123456789012", nil),
            ("someone@example.com", nil),
        ] as [(String, String?)])
    func phones(_ raw: String, _ expected: String?) {
        let swiss = IdentityPolicy.with(region: "CH")
        #expect((try? swiss.identifier(.phone, raw))?.value == expected)
    }

    @Test("a number without a country is nobody's where no region is set")
    func noRegion() { #expect(reason(.phone, "079 123 45 67") == "shape") }

    @Test(
        "values that say nothing are blocked, whatever their type and case",
        arguments: [
            "null", "NULL", "-1", "anonymous", "0", "00000000-0000-0000-0000-000000000000", "Undefined",
        ])
    func blocked(_ value: String) {
        #expect(reason(.userID, value) == "blocked")
        #expect(reason(.anonymousID, value) == "blocked")
    }

    @Test("test addresses are blocked by their pattern")
    func patterns() {
        #expect(reason(.email, "no-reply@shop.example") == "blocked")
        #expect(reason(.email, "TEST@test.com") == "blocked")
        #expect(reason(.email, "protest@test.com") == nil)
        let starry = BlockedValues(patterns: ["a*b*c", "*", "x"])
        #expect(starry.contains("anything"))
        let few = BlockedValues(patterns: ["a*b*c"])
        #expect(
            few.contains("aXbYbZc") && few.contains("abc") && !few.contains("abcd") && !few.contains("ac"))
    }

    @Test("an identifier of a megabyte, of control characters or of another shape is none, and says why")
    func badInput() {
        #expect(reason(.userID, String(repeating: "x", count: 1 << 20)) == "tooLong")
        #expect(reason(.userID, "a\u{7}b") == "controlCharacters")
        #expect(reason(.anonymousID, "a\0b") == "controlCharacters")
        #expect(reason(.email, "+41 79 123 45 67") == "shape")
        #expect(reason(.phone, "someone@example.com") == "shape")
        #expect(Identifier.Kind(rawValue: "favourite colour") == nil)
        #expect(Identifier.Kind(rawValue: "loyalty").map { reason($0, "17") } == "unknownType")
    }

    @Test("the event still lands, and what was not taken is on the timeline with the reason")
    func demoted() throws {
        var resolver = Resolver(Resolver.Snapshot(), policy: .with(emails: 2))
        var call = event(0, .identify, user: "u", device: "null", email: "a@x.org")
        call.traits["phone"] = "call me"
        let first = try #require(try resolver.resolve(call))
        try resolver.resolve(event(1, .identify, user: "u", email: "b@x.org"))
        let third = try #require(try resolver.resolve(event(2, .identify, user: "u", email: "c@x.org")))
        #expect(third.profileID == first.profileID)
        let withheld = resolver.facts.compactMap { fact -> [JSON]? in
            if case .withheld(_, _, _, _, let items) = fact { items } else { nil }
        }
        #expect(
            withheld == [
                [["type": "phone", "reason": "shape"], ["type": "anonymousId", "reason": "blocked"]],
                [["type": "email", "reason": "limit", "limit": 2, "of": "email"]],
            ])
        // Whoever has that address alone is somebody else.
        #expect(try resolver.resolve(event(3, email: "c@x.org"))?.created == true)
    }

    @Test("of two that cannot both be right the weaker is let go, whoever came first")
    func weakerGoes() throws {
        var resolver = Resolver(Resolver.Snapshot(), policy: .with(emails: 1))
        let device = try #require(try resolver.resolve(event(0, device: "d", email: "a@x.org")))
        let other = try #require(try resolver.resolve(event(1, device: "d", email: "b@x.org")))
        #expect(other.created && other.profileID != device.profileID)
        #expect(try resolver.resolve(event(2, device: "d"))?.profileID == device.profileID)
    }

    @Test("addresses that were last seen before the window don't count")
    func window() throws {
        var resolver = Resolver(Resolver.Snapshot(), policy: .with(emails: 1, window: .seconds(60)))
        try resolver.resolve(event(0, user: "u", email: "a@x.org"))
        try resolver.resolve(event(30, user: "u", email: "b@x.org"))
        try resolver.resolve(event(90, user: "u", email: "c@x.org"))
        #expect(Set(resolver.changes.claims.keys.map(\.value)) == ["u", "a@x.org", "c@x.org"])
    }

    @Test("an address that is seen again counts from then on, in the same batch as in the next")
    func renewed() throws {
        var resolver = Resolver(Resolver.Snapshot(), policy: .with(emails: 1, window: .seconds(60)))
        try resolver.resolve(event(0, user: "u", email: "a@x.org"))
        try resolver.resolve(event(50, user: "u", email: "a@x.org"))
        try resolver.resolve(event(90, user: "u", email: "b@x.org"))
        #expect(Set(resolver.changes.claims.keys.map(\.value)) == ["u", "a@x.org"])
    }

    @Test("ids of other systems join, those of accounts and encoded ones don't")
    func externalIDs() throws {
        var resolver = Resolver(owners: [:], profiles: [])
        func call(_ number: Int, _ device: String, _ item: JSON) -> TrackingEvent {
            var call = event(number, device: device)
            call.context["externalIds"] = .array([item])
            return call
        }
        let contact: JSON = [
            "id": "003", "type": "salesforce:contact", "collection": "users", "encoding": "none",
        ]
        let one = try resolver.resolve(call(0, "a", contact))
        let two = try resolver.resolve(call(1, "b", contact))
        #expect(one?.profileID == two?.profileID)
        let account: JSON = [
            "id": "001", "type": "salesforce:account", "collection": "accounts", "encoding": "none",
        ]
        let encoded: JSON = [
            "id": "9f8e", "type": "hubspot:contact", "collection": "users", "encoding": "sha256",
        ]
        try resolver.resolve(call(2, "c", account))
        try resolver.resolve(call(3, "d", account))
        try resolver.resolve(call(4, "e", encoded))
        #expect(
            Set(resolver.changes.claims.keys.map(\.kind.rawValue)) == ["anonymousId", "salesforce:contact"])
        #expect(resolver.changes.merges.count == 0)
    }

    @Test("a value that too many people were seen with leads to nobody any more")
    func shared() throws {
        var snapshot = Resolver.Snapshot()
        let id = ProfileID(UUIDv7.derived(at: start, from: "kiosk"))
        let kiosk = try policy.identifier(.anonymousID, "kiosk")
        snapshot.profiles = [ProfileState(id: id, createdAt: start)]
        snapshot.owners = [kiosk: id]
        snapshot.shares = [kiosk: 20]
        var resolver = Resolver(snapshot)
        let placed = try #require(try resolver.resolve(event(0, user: "u", device: "kiosk")))
        #expect(placed.profileID != id)
        #expect(try resolver.resolve(event(1, device: "kiosk"))?.created == true)
    }

    @Test(
        "a mistake in the file is refused with its line, what was expected and what was found",
        arguments: [
            ("types:\n  userId: {priority: 10, from: [userId], limit: 2}", 2, "limit: 1"),
            ("types:\n  userId: {priority: ten}", 2, "whole number"),
            ("types:\n  email:\n    priority: 30\n    shape: mail", 4, "one of text, email, phone"),
            ("types:\n  email:\n    priority: 30\n    colour: red", 4, "one of priority"),
            ("defaultRegion: Helvetia\ntypes: {}", 1, "country"),
            ("types:\n  userId: {priority: 1, from: [user.id]}", 2, "traits"),
            ("types:\n  e mail: {priority: 1}", 2, "a name"),
            ("types:\n  email: {priority: 1}\n  email: {priority: 2}", 2, ""),
            ("types:\n  email: {priority: 1, window: soon}", 2, "duration"),
            ("blocked: {patterns: [\"**\"]}\ntypes: {}", 1, "more in it"),
            ("types: {}\ntraits:\n  plan: {rule: best}", 3, "one of first, max, union, priority"),
            ("types: {}\ntraits:\n  plan: {rule: priority}", 3, "`sources`"),
            ("types: {}\ntraits:\n  plan: {rule: first, sources: [x]}", 3, "one of rule"),
            ("types: {}\ntraits:\n  plan: {rule: priority, sources: [shop]}", 3, "the id of a source"),
            ("types: [", 1, ""), ("", 1, "an identity policy"),
        ])
    func mistakes(_ text: String, _ line: Int, _ expected: String) {
        do {
            _ = try PolicyReader.read(Array(text.utf8))
            Issue.record("this was taken: \(text)")
        } catch {
            #expect(error.line >= line && error.line <= line + 1, "\(error)")
            #expect(expected.isEmpty || error.expected.contains(expected), "\(error)")
        }
    }
}
