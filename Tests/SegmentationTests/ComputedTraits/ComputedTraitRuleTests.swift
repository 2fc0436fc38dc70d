import Models
import ServiceKit
import TestSupport
import Testing

@testable import SegmentationServer

@Suite(
    "Rules that look at computed traits",
    .enabled(if: TestDatabase.isAvailable, Comment(rawValue: TestDatabase.howToEnable)))
struct ComputedTraitRuleTests {
    private let start = Installation.start
    private let anna = Installation.profile("anna")
    private let bert = Installation.profile("bert")

    private func view(_ category: String, _ after: Duration) -> TrackingEvent {
        Installation.track("Viewed", at: start + after, properties: ["category": .string(category)])
    }

    private func define(_ installation: Installation, _ id: String, _ definition: JSON) async throws
        -> ServiceHarness.Answer
    {
        try await installation.harness.request("PUT", "/v1/computed-traits/\(id)", json: definition)
    }

    private let favourite: JSON = [
        "mostFrequent": ["event": "Viewed", "property": "category", "within": "7d"]
    ]

    @Test("memberships change at the instant at which the value does, also by time alone, and say why")
    func exactInTime() async throws {
        try await Installation.with { installation in
            #expect(try await define(installation, "favourite", favourite).status == 201)
            let stored = try await installation.put("shoes", #"computed trait favourite = "shoes""#)
            #expect(stored.json["text"] == #"computed trait favourite = "shoes""#, "\(stored.text)")
            #expect(stored.json[path: "rule.computedTrait.definition.mostFrequent.within"] == "7d")
            try await installation.append(
                [
                    view("shoes", .zero), view("shoes", .hours(1)), view("hats", .hours(2)),
                ], to: anna)
            try await installation.drain()
            #expect(try await installation.members("shoes") == [anna])
            // When the first of two has left the window, each was seen once, and the hat was later.
            installation.clock.set(start + .days(7) - .milliseconds(1))
            try await installation.sweep()
            #expect(try await installation.members("shoes") == [anna])
            installation.clock.set(start + .days(7))
            try await installation.sweep()
            let story = try await installation.story(of: "shoes", anna)
            #expect(story.last == "exited time \(Duration.days(7).milliseconds)", "\(story)")
            let why = try await installation.harness.request(
                "GET", "/v1/segments/shoes/members/\(anna)/why"
            ).json
            #expect(
                why[path: "whyNot.text"] == #"computed trait favourite = "shoes": it is "hats""#,
                "\(why.compact)")
            // One that comes late counts as if it had always been known.
            try await installation.append([view("shoes", .hours(3))], to: anna)
            try await installation.drain()
            #expect(try await installation.members("shoes") == [anna])
        }
    }

    @Test("a new version of the trait is a next version of the rules that look at it")
    func versions() async throws {
        try await Installation.with { installation in
            #expect(
                try await define(installation, "views", ["count": ["event": "Viewed"]]).status == 201)
            try await installation.put("often", "computed trait views >= 2")
            try await installation.put("seldom", "not in segment often")
            try await installation.put("plain", #"did "Viewed""#)
            try await installation.append([view("a", .zero), view("a", .days(1))], to: anna)
            try await installation.append([view("a", .days(2)), view("a", .days(9))], to: bert)
            installation.clock.set(start + .days(10))
            try await installation.drain()
            #expect(try await installation.members("often") == [anna, bert])
            let harness = installation.harness
            let plain = try await harness.request("GET", "/v1/segments/plain").headers["etag"]
            let changed = try await define(
                installation, "views", ["count": ["event": "Viewed", "within": "10d"]])
            #expect(changed.status == 200 && changed.json["version"] == 2, "\(changed.text)")
            try await installation.backfill()
            #expect(try await installation.members("often") == [bert])
            let story = try await installation.story(of: "often", anna)
            #expect(story.last?.hasPrefix("exited definition") == true, "\(story)")
            let often = try await harness.request("GET", "/v1/segments/often").json
            #expect(often["version"] == 2 && often["status"] == "live", "\(often.compact)")
            #expect(try await harness.request("GET", "/v1/segments/plain").headers["etag"] == plain)
            let why = try await harness.request("GET", "/v1/segments/often/members/\(anna)/why").json
            #expect(
                why[path: "whyNot.text"]
                    == "computed trait views >= 2: 1, at least 2 is needed; 1 is missing", "\(why.compact)")
            // A new name alone is no new version.
            let renamed = try await define(
                installation, "views", ["name": "Views", "count": ["event": "Viewed", "within": "10d"]])
            #expect(renamed.json["version"] == 2)
            #expect(try await harness.request("GET", "/v1/segments/often").json["version"] == 2)
        }
    }

    @Test("what is no computed trait, or has no one value, is refused with its place; one in use stays")
    func mistakes() async throws {
        try await Installation.with { installation in
            let harness = installation.harness
            func refused(_ rule: JSON) async throws -> JSON {
                let answer = try await harness.request(
                    "PUT", "/v1/segments/wrong", json: ["rule": rule])
                #expect(answer.status == 400, "\(answer.text)")
                return answer.json
            }
            let unknown = try await refused(["not": ["computedTrait": ["id": "nothing", "atLeast": 1]]])
            #expect(unknown[path: "errors.0.path"] == "rule.not.computedTrait.id", "\(unknown.compact)")
            #expect(try await define(installation, "rfm", ["rfm": [:]]).status == 201)
            let object = try await refused(["all": [["computedTrait": ["id": "rfm", "exists": true]]]])
            #expect(object[path: "errors.0.path"] == "rule.all.0.computedTrait.id", "\(object.compact)")
            #expect(try await define(installation, "views", ["count": ["event": "Viewed"]]).status == 201)
            try await installation.put("often", "computed trait views >= 2")
            let path = "/v1/computed-traits/views"
            let deleted = try await harness.request("DELETE", path)
            #expect(deleted.status == 409 && deleted.text.contains("often"), "\(deleted.text)")
            #expect(try await define(installation, "views", ["rfm": [:]]).status == 409)
            #expect(try await harness.request("GET", path).json["version"] == 1)
            let stages = try await harness.request(
                "PUT", "/v1/stages",
                json: ["stages": [["id": "a", "rule": ["computedTrait": ["id": "views", "atLeast": 1]]]]])
            #expect(
                stages.status == 400
                    && stages.json[path: "errors.0.path"] == "stages.0.rule.computedTrait.id",
                "\(stages.text)")
            let preview = try await harness.request(
                "POST", "/v1/segments/preview", json: ["rule": "computed trait views >= 2"])
            #expect(preview.status == 200, "\(preview.text)")
            #expect(try await harness.request("DELETE", "/v1/segments/often").status == 204)
            #expect(try await harness.request("DELETE", path).status == 204)
        }
    }

    @Test("a rule cannot be used by a computed trait to ask for people by name")
    func names() {
        let names = WrittenDefinition.names
        func asks(_ property: String) -> Bool {
            names.stand(
                in: ComputedTraitRules.withProperties([
                    "all": [
                        [
                            "computedTrait": [
                                "id": "last", "startsWith": "A",
                                "definition": ["last": ["event": "Viewed", "property": .string(property)]],
                            ]
                        ]
                    ]
                ]))
        }
        #expect(asks("firstName") && asks("email") && !asks("category"))
    }
}
