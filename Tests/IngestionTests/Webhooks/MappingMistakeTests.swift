import IngestionDomain
import Models
import Testing

@Suite("Mistakes in mappings")
struct MappingMistakeTests {
    private func mistakes(_ yaml: String) throws -> [String] {
        do {
            _ = try WebhookMapping(json: try WebhookFixture.yaml(yaml))
            return []
        } catch let error as InvalidMapping {
            return error.mistakes.map(\.description)
        }
    }

    private func rule(_ lines: String...) throws -> [String] {
        try mistakes(
            "provider: shopify\nrules:\n  - when: {type: orders/create}\n"
                + lines.map { "    \($0)\n" }.joined())
    }

    @Test("all mistakes are told at once, each with its place and what was expected")
    func all() throws {
        let found = try mistakes(
            """
            provider: shopfy
            extra: 1
            rules:
              - when: {typ: orders/create}
                track: Order Completed
                userId: {path: customer..id}
              - when: {type: x, where: [{path: a, equals: 1, exists: true}, {equals: 2}]}
                track: X
                identify: true
                userId: 5
            """)
        #expect(
            found.contains { $0.hasPrefix("provider: expected one of `hubspot`") && $0.contains("“shopfy”") })
        #expect(found.contains { $0.hasPrefix("extra: expected one of") })
        #expect(found.contains { $0.hasPrefix("rules.0.when: expected `type`") })
        #expect(found.contains { $0.hasPrefix("rules.0.when.typ: expected one of `type`, `where`") })
        #expect(found.contains { $0.hasPrefix("rules.0.userId.path: expected a path") })
        #expect(found.contains { $0.hasPrefix("rules.1.when.where.0: expected one of") })
        #expect(
            found.contains {
                $0.hasPrefix("rules.1.when.where.1: expected either `path` or `meta`, found neither")
            })
        #expect(
            found.contains {
                $0.hasPrefix("rules.1: expected one of `track`")
                    && $0.hasSuffix("found `track` and `identify`")
            })
    }

    @Test("a rule says who it was, and only what its kind may have")
    func rules() throws {
        #expect(
            try rule("track: X").first?
                .contains("one of `userId`, `anonymousId`, `externalIds`, `email`: who it was") == true)
        #expect(try rule("alias: true").first?.contains("`externalIds`: who remains") == true)
        #expect(
            try rule("alias: true", "userId: 1", "externalIds: [{type: 'a:b', path: a}]").first?
                .hasPrefix("rules.0.userId: expected `externalIds` alone") == true)
        #expect(
            try rule("identify: yes please", "userId: 1").first
                == "rules.0.identify: expected true, found “yes please”")
        #expect(
            try rule("identify: true", "userId: 1", "properties: {a: 1}").first?
                .hasPrefix("rules.0.properties: expected `traits`") == true)
        #expect(
            try rule("privacyRequest: forget", "email: {path: e}").first
                == "rules.0.privacyRequest: expected one of `access`, `erasure`, found “forget”")
        #expect(try rule("alias: {userId: {path: a}}").first?.contains("previousId") == true)
        #expect(try rule("alias: {previousId: {path: a}}").first?.contains("`userId`: who remains") == true)
        #expect(
            try rule("alias: {previousId: 1, userId: 2, x: 3}").first?.hasPrefix("rules.0.alias.x") == true)
        #expect(try rule("ignore: ''").count == 1)
        #expect(try rule("track: X", "userId: 1", "id: 'a:b'").first?.hasPrefix("rules.0.id") == true)
        #expect(
            try rule("track: X", "userId: 1", "usrId: 2").first?.hasPrefix("rules.0.usrId: expected one of")
                == true)
        #expect(
            try rule("track: X", "userId: 1", "externalIds: [{path: a}]").first?.contains("`type`") == true)
    }

    @Test("a value comes from one place and is converted in a way there is")
    func values() throws {
        func value(_ text: String) throws -> String? {
            try rule("track: X", "userId: 1", "properties: {total: \(text)}").first
        }
        #expect(
            try value("{path: a, as: cash}")?.hasPrefix(
                "rules.0.properties.total.as: expected one of `money`") == true)
        #expect(try value("{path: a, constant: 1}")?.hasSuffix("found `path` and `constant`") == true)
        #expect(try value("{as: money}")?.hasSuffix("found none of them") == true)
        #expect(try value("[1]")?.hasPrefix("rules.0.properties.total: expected a constant") == true)
        #expect(try value("{each: a}")?.contains("`map`") == true)
        #expect(try value("{path: a, as: minorUnits}")?.contains("`currency`") == true)
        #expect(try value("{path: a, currency: {path: c}}")?.contains("as: minorUnits") == true)
        #expect(try value("{path: 'a[x]'}")?.contains("a path such as") == true)
        #expect(try value("{firstOf: []}")?.contains("a list of values") == true)
        #expect(try value("{use: nothing}")?.contains("a name under `define`") == true)
        let deep = String(repeating: "{object: {a: ", count: 14) + "1" + String(repeating: "}}", count: 14)
        #expect(try value(deep)?.contains("nested at most") == true)
    }

    @Test("authentication and envelope are there where they are needed, and right")
    func authentication() throws {
        func with(_ text: String) throws -> String? {
            try mistakes(
                "provider: json\nenvelope: {type: {path: t}}\nrules: [{when: {type: x}, ignore: y}]\n"
                    + "authentication: \(text)"
            ).first
        }
        #expect(try mistakes("provider: json\nrules: [{when: {type: x}, ignore: y}]").count == 2)
        #expect(
            try mistakes("provider: salesforce\nrules: [{when: {type: x}, ignore: y}]").first?
                .contains("how a request of salesforce proves whose it is") == true)
        #expect(
            try with("{scheme: magic}")?.hasPrefix("authentication.scheme: expected one of `hubspot`") == true
        )
        #expect(try with("{scheme: hmac}")?.contains("`header`") == true)
        #expect(try with("{scheme: hmac, header: X, signed: '{method}'}")?.contains("{body}") == true)
        #expect(
            try with("{scheme: hmac, header: X, timestampHeader: T, signed: '{body}'}")?
                .contains("{timestamp} in what is signed") == true)
        #expect(
            try with("{scheme: hmac, header: X, signed: '{bod}'}")?.hasPrefix("authentication.signed") == true
        )
        #expect(try with("{scheme: hmac, header: X, tolerance: 2d}")?.contains("from 1s to 1d") == true)
        #expect(try with("{scheme: secret, in: [cookie]}")?.hasPrefix("authentication.in.0") == true)
        #expect(try with("{scheme: hmac, header: X, encoding: hex}") == nil)
        #expect(
            try mistakes("provider: shopify\nenvelope: {type: x}\nrules: [{when: {type: x}, ignore: y}]")
                .first?
                .contains("the layout of shopify is known") == true)
    }

    @Test("two rules of one name would be one event, and definitions that use each other have no end")
    func names() throws {
        let twice = "{when: {type: a}, track: X, userId: 1}"
        #expect(
            try mistakes("provider: shopify\nrules: [\(twice), \(twice)]").first
                == "rules.1: expected an `id` of its own, found a second rule called “track X”")
        #expect(
            try mistakes("provider: shopify\ndefine: {a: {use: a}}\nrules: [{when: {type: a}, ignore: x}]")
                .first?
                .contains("no `use` inside of `define`") == true)
        #expect(
            try mistakes("[]").first
                == "the mapping: expected an object with `provider` and `rules`, found a list of 0")
        #expect(
            try mistakes("provider: shopify\nrules: []").first?.hasPrefix(
                "rules: expected a list of 1 to 200") == true)
    }

    @Test("a small file cannot unfold to a large one")
    func bomb() throws {
        let big = "[" + Array(repeating: "1", count: 500).joined(separator: ",") + "]"
        let uses = "[" + Array(repeating: "{use: a}", count: 500).joined(separator: ",") + "]"
        let found = try mistakes("provider: shopify\ndefine: {a: \(big)}\nrules: \(uses)")
        #expect(found.contains { $0.contains("at most 20000 values") })
    }
}
