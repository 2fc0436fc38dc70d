import IngestionDomain
import Models
import Testing

@Suite("Mapping")
struct MappingTests {
    private func outcome(_ rule: String, _ object: JSON, type: String = "t", id: String = "1") throws
        -> [MappedItem]
    {
        let mapping = try WebhookMapping(json: WebhookFixture.yaml("provider: stripe\nrules:\n  - " + rule))
        return mapping.items(
            for: InboundRecord(provider: .stripe, type: type, id: id, object: object),
            receivedAt: WebhookFixture.now
        )
    }

    private func property(_ value: String, _ object: JSON) throws -> JSON? {
        let items = try outcome("{when: {type: t}, track: X, userId: u, properties: {p: \(value)}}", object)
        return WebhookFixture.calls(items).first.map { $0["properties"]?["p"] ?? .null }
    }

    @Test("values are converted, and what does not convert fails the item with its place")
    func conversions() throws {
        #expect(try property("{path: a, as: money}", ["a": "12.5"]) == "12.50")
        #expect(try property("{path: a, as: money}", ["a": 12]) == "12.00")
        #expect(try property("{path: a, as: money}", ["a": 0.1]) == "0.10")
        #expect(try property("{path: a, as: money}", ["a": " 1234567.891 "]) == "1234567.891")
        #expect(try property("{path: a, as: integer}", ["a": "7"]) == 7)
        #expect(try property("{path: a, as: number}", ["a": "7.5"]) == 7.5)
        #expect(try property("{path: a, as: string}", ["a": 820_982_911_946_154_508]) == "820982911946154508")
        #expect(try property("{path: a, as: bool}", ["a": "True"]) == true)
        #expect(
            try property("{path: a, as: timeMillis}", ["a": 1_795_441_500_000]) == "2026-11-23T13:45:00.000Z")
        #expect(try property("{path: a, as: timeSeconds}", ["a": "1795441500"]) == "2026-11-23T13:45:00.000Z")
        #expect(
            try property("{path: a, as: time}", ["a": "2026-11-23T08:45:00-0500"])
                == "2026-11-23T13:45:00.000Z")
        #expect(try property("{path: a, as: time}", ["a": "2026-11-23"]) == "2026-11-23T00:00:00.000Z")
        #expect(try property("{path: 'a[]', as: lowercase}", ["a": ["X", "Y"]]) == ["x", "y"])
        #expect(try property("{path: a, default: none}", [:]) == "none")
        #expect(try property("{path: a, as: money, default: '0.00'}", ["a": "free"]) == "0.00")
        #expect(try property("{path: a.b, prefix: 'x:'}", ["a": ["b": 5]]) == "x:5")
        #expect(try property("{firstOf: [{path: a}, {path: b}]}", ["a": .null, "b": 2]) == 2)
        #expect(try property("{path: a}", ["a": .null]) == .null)
        for bad: JSON in ["lots", true, [1], ["x": 1], 1e300] {
            let items = try outcome(
                "{when: {type: t}, track: X, userId: u, properties: {p: {path: a, as: money}}}", ["a": bad])
            #expect(
                items.map(\.outcome) == [.failed(reason: "properties.p must be an amount such as 12.50")])
        }
        #expect(try property("{path: a, as: timeMillis}", ["a": 1e18]) == nil)
        #expect(try property("{path: a, as: time}", ["a": "2026-11-23T08:45:00"]) == nil)
    }

    @Test("conditions look at what is there, whether written as number or as text")
    func conditions() throws {
        func fits(_ test: String, _ object: JSON) throws -> Bool {
            !WebhookFixture.calls(
                try outcome("{when: {type: t, where: [\(test)]}, track: X, userId: u}", object)
            ).isEmpty
        }
        #expect(try fits("{path: a, equals: 5}", ["a": "5"]))
        #expect(try fits("{path: a, notEquals: x}", [:]))
        #expect(try fits("{path: 'l[].s', in: [b, c]}", ["l": [["s": "a"], ["s": "b"]]]))
        #expect(try !fits("{path: 'l[].s', notIn: [b]}", ["l": [["s": "a"], ["s": "b"]]]))
        #expect(try fits("{path: a, contains: ell}", ["a": "hello"]))
        #expect(try fits("{path: a, contains: x}", ["a": ["x"]]))
        #expect(try fits("{path: a, exists: false}", ["a": .null]))
        #expect(try fits("{path: a, atLeast: 10}", ["a": "10.0"]))
        #expect(try !fits("{path: a, moreThan: 10}", ["a": 10]))
        #expect(try fits("{path: a, atMost: 10}, {path: a, lessThan: 11}", ["a": 10]))
    }

    @Test(
        "types may have stars in them",
        arguments: [
            ("Contact.*", "Contact.update", true), ("*.gap_*", "Lead.gap_update", true), ("*", "", true),
            ("a*a", "a", false), ("a*a", "aa", true), ("*b*", "abc", true), ("a*c*e", "abcde", true),
            ("a*c*e", "abde", false), ("Contact", "contact", false),
        ])
    func types(_ pattern: String, _ type: String, _ fits: Bool) throws {
        let items = try outcome("{when: {type: '\(pattern)'}, track: X, userId: u}", [:], type: type)
        #expect(WebhookFixture.calls(items).isEmpty != fits)
    }

    @Test("every rule that fits makes its item, and nobody is a failure")
    func several() throws {
        let mapping = try WebhookMapping(
            json: WebhookFixture.yaml(
                """
                provider: stripe
                rules:
                  - {when: {type: t}, track: One, userId: {path: u}}
                  - {when: {type: t}, identify: true, userId: {path: u}}
                  - {when: {type: t}, group: {path: g}, userId: {path: u}, traits: {name: N}}
                """))
        let items = mapping.items(
            for: InboundRecord(provider: .stripe, type: "t", id: "1", object: ["u": "x", "g": 7]),
            receivedAt: WebhookFixture.now)
        #expect(WebhookFixture.calls(items).map { $0["type"] } == ["track", "identify", "group"])
        #expect(WebhookFixture.calls(items).last?["groupId"] == "7")
        #expect(Set(items.map(\.messageID)).count == 3)
        let nobody = mapping.items(
            for: InboundRecord(provider: .stripe, type: "t", id: "1", object: ["u": " "]),
            receivedAt: WebhookFixture.now)
        #expect(nobody.allSatisfy { if case .failed = $0.outcome { true } else { false } })
    }

    @Test("a long name of a record gives a messageId that fits, and always the same")
    func longIDs() throws {
        let long = String(repeating: "é", count: 500)
        let rule = "{when: {type: t}, track: X, userId: u}"
        let first = try outcome(rule, [:], id: long)
        #expect(first.map(\.messageID) == (try outcome(rule, [:], id: long)).map(\.messageID))
        #expect(first.map(\.messageID) != (try outcome(rule, [:], id: long + "x")).map(\.messageID))
        #expect(
            try WebhookFixture.event(try #require(WebhookFixture.calls(first).first)).messageID.utf8.count
                <= 256)
    }

    @Test("an envelope finds the records of any JSON")
    func envelope() throws {
        let mapping = try WebhookMapping(
            json: WebhookFixture.yaml(
                """
                provider: json
                authentication: {scheme: secret}
                envelope:
                  records: events[]
                  type: {firstOf: [{path: kind}, {meta: header.x-event}]}
                  id: {path: uid}
                  time: {path: at, as: timeMillis}
                rules: [{when: {type: push}, track: Pushed, userId: {path: who}}]
                """))
        let decoded = try WebhookDecoding(provider: .json, envelope: mapping.envelope).decode(
            WebhookFixture.verified(
                #"{"events":[{"uid":1,"at":1795441490000,"who":"x"},{"kind":"push","uid":[]},{"kind":"push"},5]}"#,
                headers: ["x-event": "push", "authorization": "Bearer s", "content-type": "application/json"])
        )
        #expect(decoded.records.map(\.id) == ["push:1", "digest:2", "digest:3"])
        #expect(decoded.unreadable.map(\.path) == ["1"])
        #expect(decoded.records.first?.meta["header"]?["authorization"] == nil)
        let items = mapping.items(for: decoded.records[0], receivedAt: WebhookFixture.now)
        #expect(WebhookFixture.calls(items).first?["timestamp"] == "2026-11-23T13:44:50.000Z")
    }
}
