import Models
import Testing

@testable import IngestionDomain

@Suite("Tracking plans")
struct TrackingPlanTests {
    static let time = Instant(milliseconds: 1_795_262_400_000)

    static func event(
        _ name: String?, _ properties: JSON = [:], kind: TrackingEvent.Kind = .track, traits: JSON = [:],
        context: JSON = [:]
    ) -> TrackingEvent {
        TrackingEvent(
            messageID: "m", kind: kind, name: name, userID: "u", timestamp: time, receivedAt: time,
            sourceID: SourceID(UUIDv7.derived(at: time, from: "source")),
            properties: properties.object ?? [:],
            traits: traits.object ?? [:], context: context.object ?? [:])
    }

    func plan(_ mode: String, _ schema: String, unplanned: String = "allow", more: String = "") throws
        -> TrackingPlan
    {
        try TrackingPlan(
            json: JSONParser.parse(
                #"{"mode":"\#(mode)","unplanned":"\#(unplanned)","events":{"Bought":\#(schema)}\#(more)}"#))
    }

    let schema =
        #"{"properties":{"total":{"type":"number"},"note":{"maxLength":3}},"required":["total"],"additionalProperties":false}"#

    @Test("a plan is read, and printed so that it can be read again")
    func roundTrip() throws {
        let text =
            #"{"mode":"drop-property","unplanned":"quarantine","events":{"A":{"type":"object"},"B":true},"identify":{},"group":{},"page":false,"screen":{}}"#
        let plan = try TrackingPlan(json: JSONParser.parse(text))
        #expect(try plan.json == JSONParser.parse(text))
        #expect(try TrackingPlan(json: plan.json) == plan)
        let least = try TrackingPlan(json: ["mode": "allow"])
        #expect(least.json == ["mode": "allow", "unplanned": "allow", "events": [:]])
        var generator = planGenerator()
        for _ in 0..<300 {
            let json: JSON = ["mode": "quarantine", "events": ["A": generator.schema(depth: 3)]]
            let plan = try TrackingPlan(json: json)
            #expect(try TrackingPlan(json: JSONParser.parse(plan.json.compact)) == plan)
        }
    }

    @Test("mistakes of a plan are reported with their places")
    func mistakes() throws {
        let table: [(String, [String])] = [
            ("[]", [""]), ("{}", ["/mode"]), (#"{"mode":"strict"}"#, ["/mode"]),
            (#"{"mode":"allow","alias":{}}"#, ["/alias"]),
            (#"{"mode":"allow","events":[]}"#, ["/events"]),
            (#"{"mode":"allow","events":{"":{}}}"#, ["/events/"]),
            (
                #"{"mode":"x","unplanned":"drop","events":{"A/B":{"typ":1,"items":5}},"identify":{"pattern":"("}}"#,
                ["/mode", "/unplanned", "/events/A~1B/typ", "/events/A~1B/items", "/identify/pattern"]
            ),
        ]
        for (text, expected) in table {
            do throws(InvalidSchema) {
                _ = try TrackingPlan(json: (try? JSONParser.parse(text)) ?? .null)
                Issue.record("\(text) is taken")
            } catch {
                #expect(error.mistakes.map(\.pointer.description) == expected)
                #expect(error.mistakes.first?.decodingProblem.message.isEmpty == false)
            }
        }
    }

    @Test("each mode does with a violation what it says")
    func modes() throws {
        let event = Self.event("Bought", ["total": 5, "note": "too long", "extra": 1])
        let allowed = try plan("allow", schema).judge(event: event, hash: digest)
        #expect(allowed.action == .accept && allowed.event == event)
        #expect(allowed.violations.map(\.pointer.description) == ["/properties/extra", "/properties/note"])
        #expect(allowed.isRemarkable && allowed.detail == nil)

        let quarantined = try plan("quarantine", schema).judge(event: event, hash: digest)
        #expect(quarantined.action == .quarantine(.violation) && quarantined.event == event)
        #expect(
            quarantined.detail
                == "/properties/extra is not among the properties that are stated; 1 more violations")
        #expect(quarantined.report["reason"] == "plan-violation")

        let dropped = try plan("drop-property", schema).judge(event: event, hash: digest)
        #expect(dropped.action == .accept && dropped.event.properties == ["total": 5])
        #expect(dropped.dropped.map(\.description) == ["/properties/extra", "/properties/note"])
        #expect(dropped.violations == allowed.violations)
    }

    @Test("what is missing cannot be dropped, and then nothing is")
    func missing() throws {
        for properties in [["note": "too long"], ["total": "5", "note": "too long"]] as [JSON] {
            let event = Self.event("Bought", properties)
            let judgement = try plan("drop-property", schema).judge(event: event, hash: digest)
            #expect(judgement.action == .quarantine(.violation))
            #expect(judgement.event == event && judgement.dropped.isEmpty)
        }
        let whole = try plan("drop-property", "false").judge(event: Self.event("Bought"), hash: digest)
        #expect(whole.action == .quarantine(.violation))
    }

    @Test("the innermost property that holds a violation is dropped, also within arrays")
    func innermost() throws {
        let schema =
            #"{"properties":{"products":{"items":{"properties":{"sku":{"type":"string"}}}},"tags":{"items":{"type":"string"}},"ship":{"properties":{"zip":{"maxLength":5}},"anyOf":[{"required":["zip"]},{"required":["city"]}]}}}"#
        let event = Self.event(
            "Bought",
            [
                "products": [["sku": 5, "name": "x"], ["sku": "ok"]], "tags": ["a", 5],
                "ship": ["zip": "too long", "name": "n"],
            ])
        let judgement = try plan("drop-property", schema).judge(event: event, hash: digest)
        // Without its zip the address has neither: then it goes as a whole.
        #expect(
            judgement.dropped.map(\.description)
                == [
                    "/properties/products/0/sku", "/properties/ship/zip", "/properties/tags",
                    "/properties/ship",
                ])
        #expect(judgement.event.properties == ["products": [["name": "x"], ["sku": "ok"]]])
        #expect(judgement.action == .accept)
    }

    @Test("an event that the plan doesn't have is kept or put into quarantine, as the plan says")
    func unplanned() throws {
        let other = Self.event("Other", ["a": 1])
        #expect(try plan("quarantine", schema).judge(event: other, hash: digest).action == .accept)
        let judgement = try plan("allow", schema, unplanned: "quarantine").judge(event: other, hash: digest)
        #expect(judgement.action == .quarantine(.unplanned) && judgement.detail != nil)
        for kind in [TrackingEvent.Kind.identify, .page, .screen, .group, .alias] {
            let event = Self.event(nil, kind: kind)
            #expect(
                try plan("quarantine", schema, unplanned: "quarantine").judge(event: event, hash: digest)
                    .action == .accept)
        }
    }

    @Test("identify and group calls are judged by their traits, pages and screens by their properties")
    func calls() throws {
        let strict = #"{"properties":{"ok":{}},"additionalProperties":false}"#
        let plan = try plan(
            "drop-property", "true",
            more: #","identify":\#(strict),"group":\#(strict),"page":\#(strict),"screen":\#(strict)"#)
        for kind in [TrackingEvent.Kind.identify, .group] {
            let event = Self.event(nil, ["x": 1], kind: kind, traits: ["ok": 1, "x": 1])
            let judgement = plan.judge(event: event, hash: digest)
            #expect(judgement.event.traits == ["ok": 1] && judgement.event.properties == ["x": 1])
            #expect(judgement.dropped.map(\.description) == ["/traits/x"])
        }
        for kind in [TrackingEvent.Kind.page, .screen] {
            let event = Self.event(nil, ["ok": 1, "x": 1], kind: kind, traits: ["x": 1])
            #expect(plan.judge(event: event, hash: digest).event.properties == ["ok": 1])
        }
    }
}
