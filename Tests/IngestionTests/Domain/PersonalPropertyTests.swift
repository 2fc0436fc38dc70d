import Models
import Testing

@testable import IngestionDomain

@Suite("Personal properties")
struct PersonalPropertyTests {
    func plan(_ mode: String, _ schema: String, more: String = "") throws -> TrackingPlan {
        try TrackingPlan(
            json: JSONParser.parse(#"{"mode":"\#(mode)","events":{"Bought":\#(schema)}\#(more)}"#))
    }

    let schema = ##"""
        {"$defs":{"mail":{"type":"string","format":"email","x-martlet-personal":"hash"}},
         "properties":{"email":{"$ref":"#/$defs/mail"},"name":{"x-martlet-personal":"drop"},"age":{"type":"integer"},
          "friends":{"items":{"properties":{"email":{"$ref":"#/$defs/mail"},"name":{"x-martlet-personal":"drop"}}}},
          "mails":{"items":{"$ref":"#/$defs/mail"}},"ips":{"items":{"x-martlet-personal":"drop"}},
          "pair":{"prefixItems":[{"x-martlet-personal":"drop"},{}]},
          "who":{"oneOf":[{"type":"object","properties":{"id":{"x-martlet-personal":"hash"}}},{"type":"string"}]},
          "address":{"x-martlet-personal":"hash"}},
         "required":["email","name"]}
        """##

    let personal: JSON = [
        "email": "ann@example.com", "name": "Ann", "age": 5,
        "friends": [["email": "bob@example.com", "name": "Bob", "x": 1]],
        "mails": ["cid@example.com", "dee@example.com"],
        "ips": ["1.2.3.4", "5.6.7.8"], "pair": ["Eve", "kept"], "who": ["id": "secret-7"],
        "address": ["street": "Elm Street"],
    ]

    static let secrets = [
        "ann@", "Ann", "bob@", "Bob", "cid@", "dee@", "1.2.3.4", "5.6.7.8", "Eve", "secret-7", "Elm",
    ]

    @Test("personal properties are dropped or hashed in every mode, within objects and arrays")
    func everywhere() throws {
        for mode in ["allow", "quarantine", "drop-property"] {
            let plan = try plan(mode, schema)
            let judgement = plan.judge(event: TrackingPlanTests.event("Bought", personal), hash: digest)
            let properties = JSON.object(judgement.event.properties)
            #expect(judgement.action == .accept && judgement.violations.isEmpty)
            #expect(properties["email"] == .string("hashed:" + digest("ann@example.com")))
            #expect(properties["name"] == nil && properties["age"] == 5)
            #expect(
                isDigest(properties[path: "friends.0.email"]) && properties[path: "friends.0.name"] == nil)
            #expect(isDigest(properties[path: "mails.1"]) && properties["ips"] == [.null, .null])
            #expect(properties["pair"] == [.null, "kept"] && isDigest(properties[path: "who.id"]))
            #expect(properties["address"] == .string("hashed:" + digest(#"{"street":"Elm Street"}"#)))
            for secret in Self.secrets { #expect(!judgement.event.json.compact.contains(secret)) }
            #expect(
                judgement.treated.map { "\($0.pointer) \($0.treatment)" } == [
                    "/properties/address hash", "/properties/email hash", "/properties/friends/0/email hash",
                    "/properties/friends/0/name drop", "/properties/ips/0 drop", "/properties/ips/1 drop",
                    "/properties/mails/0 hash", "/properties/mails/1 hash", "/properties/name drop",
                    "/properties/pair/0 drop", "/properties/who/id hash",
                ])
            let again = plan.judge(event: judgement.event, hash: digest)
            #expect(again.event == judgement.event && again.action == .accept)
            #expect(again.treated.isEmpty && again.violations.isEmpty)
        }
    }

    @Test("also in an event that goes into quarantine, and the report says so without the values")
    func quarantined() throws {
        var members = personal.object ?? [:]
        members["age"] = "very"
        members["email"] = "Ann, no address"
        let judgement = try plan("quarantine", schema).judge(
            event: TrackingPlanTests.event("Bought", .object(members)), hash: digest)
        #expect(judgement.action == .quarantine(.violation))
        #expect(judgement.violations.map(\.pointer.description) == ["/properties/email", "/properties/age"])
        #expect(judgement.treated.count == 11)
        for secret in Self.secrets {
            #expect(
                !judgement.event.json.compact.contains(secret) && !judgement.report.compact.contains(secret))
        }
    }

    @Test("a personal value that violates the plan is dropped instead of hashed where properties are dropped")
    func dropped() throws {
        let plan = try plan(
            "drop-property", #"{"properties":{"email":{"format":"email","x-martlet-personal":"hash"}}}"#)
        let judgement = plan.judge(
            event: TrackingPlanTests.event("Bought", ["email": "Ann", "a": 1]), hash: digest)
        #expect(judgement.action == .accept && judgement.event.properties == ["a": 1])
        #expect(judgement.dropped.map(\.description) == ["/properties/email"])
    }

    @Test("null is not hashed, and a number is")
    func kinds() throws {
        let plan = try plan(
            "allow", #"{"properties":{"a":{"x-martlet-personal":"hash"},"b":{"x-martlet-personal":"hash"}}}"#)
        let judgement = plan.judge(
            event: TrackingPlanTests.event("Bought", ["a": .null, "b": 5]), hash: digest)
        #expect(judgement.event.properties == ["a": .null, "b": .string("hashed:" + digest("5"))])
    }

    @Test("text that only pretends to be hashed is hashed")
    func pretending() throws {
        let plan = try plan("allow", #"{"properties":{"a":{"x-martlet-personal":"hash"}}}"#)
        for text in [
            "hashed:", "hashed:ann@example.com", "hashed:ann@example.com!", "hashed:0123456789abcde@",
        ] {
            let judgement = plan.judge(
                event: TrackingPlanTests.event("Bought", ["a": .string(text)]), hash: digest)
            #expect(judgement.event.properties["a"] == .string("hashed:" + digest(text)))
        }
    }

    @Test("traits that identify calls mark as personal are so in the context of every event")
    func context() throws {
        let plan = try plan(
            "allow", "true", more: #","identify":{"properties":{"email":{"x-martlet-personal":"hash"}}}"#)
        let event = TrackingPlanTests.event(
            "Unknown", context: ["traits": ["email": "a@b", "plan": "pro"], "ip": "::1"])
        let judgement = plan.judge(event: event, hash: digest)
        #expect(isDigest(judgement.event.context["traits"]?["email"]))
        #expect(judgement.event.context["traits"]?["plan"] == "pro" && judgement.event.context["ip"] == "::1")
        #expect(judgement.treated.map(\.pointer.description) == ["/context/traits/email"])
    }

    @Test("the strictest of several treatments wins, and alternatives that don't apply count as well")
    func strictest() throws {
        let plan = try plan(
            "allow",
            ##"{"allOf":[{"properties":{"a":{"x-martlet-personal":"hash"}}},{"anyOf":[{"required":["zzz"],"properties":{"a":{"x-martlet-personal":"drop"}}},{}]}],"properties":{"a":{}}}"##
        )
        let judgement = plan.judge(event: TrackingPlanTests.event("Bought", ["a": "x"]), hash: digest)
        #expect(judgement.event.properties.isEmpty && judgement.violations.isEmpty)
    }

    @Test(
        "random events: accepted means conforming, judging again changes nothing, and nothing personal is left"
    )
    func random() throws {
        var generator = planGenerator()
        var outcomes: [String: Int] = [:]
        for _ in 0..<6000 {
            let mode = TrackingPlan.Mode.allCases.pick(&generator)
            let plan = try TrackingPlan(
                json: ["mode": .string(mode.rawValue), "events": ["Bought": generator.schema(depth: 3)]])
            let event = TrackingPlanTests.event(
                "Bought", .object(generator.json(depth: 3).object ?? ["a": 1]))
            let judgement = plan.judge(event: event, hash: digest)
            #expect(plan.judge(event: event, hash: digest) == judgement)
            let again = plan.judge(event: judgement.event, hash: digest)
            #expect(again.treated.isEmpty)
            // In quarantine, what was wrong with a personal value is forgotten; then the rest may be mended.
            if judgement.action == .accept || again.dropped.isEmpty {
                #expect(again.event == judgement.event, "\(plan.json.compact) \(event.json.compact)")
            }
            let violates = !judgement.violations.isEmpty
            switch (mode, judgement.action) {
            case (.allow, let action): #expect(action == .accept)
            case (.quarantine, let action): #expect((action != .accept) == violates)
            case (.dropProperty, .accept):
                #expect(
                    again.violations.isEmpty && again.dropped.isEmpty,
                    "\(plan.json.compact) \(event.json.compact)")
            case (.dropProperty, .quarantine): #expect(violates && judgement.dropped.isEmpty)
            }
            if judgement.action == .accept, mode != .allow { #expect(again.action == .accept) }
            let outcome =
                judgement.action == .accept
                ? (judgement.dropped.isEmpty ? "accepted" : "dropped") : "quarantined"
            outcomes[
                "\(mode.rawValue) \(outcome) \(judgement.treated.isEmpty ? "" : "personal")", default: 0] += 1
        }
        print(outcomes.sorted { $0.key < $1.key }.map { "\($0.key): \($0.value)" }.joined(separator: "; "))
        #expect(outcomes.count >= 10)
    }
}
