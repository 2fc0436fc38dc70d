import Foundation
import HTTPTypes
import Models
import Postgres
import SegmentationDomain
import ServiceKit
import TestSupport
import Testing

@Suite(
    "Segments over HTTP", .enabled(if: TestDatabase.isAvailable, Comment(rawValue: TestDatabase.howToEnable)))
struct RouteTests {
    private let start = Installation.start

    @Test("a definition is created, read, changed under its ETag, and deleted")
    func lifeCycle() async throws {
        try await Installation.with { installation in
            let harness = installation.harness
            let document: JSON = ["name": "Recent", "rule": ["count": ["event": "A", "within": "1d12h"]]]
            let created = try await harness.request("PUT", "/v1/segments/recent", json: document)
            #expect(created.status == 201)
            #expect(created.json["version"] == 1)
            #expect(created.json["text"]?.string == "did \"A\" in 1 day 12 hours")
            let tag = try #require(created.headers["etag"])

            let again = try await harness.request("PUT", "/v1/segments/recent", json: document)
            #expect(again.status == 200)
            #expect(again.headers["etag"] == tag)

            let renamed = try await harness.request(
                "PUT", "/v1/segments/recent",
                json: ["name": "New name", "rule": ["count": ["event": "A", "within": "36h"]]],
                headers: ["If-Match": tag])
            #expect(renamed.status == 200)
            #expect(renamed.json["version"] == 1, "36h is 1d12h")
            #expect(renamed.headers["etag"] != tag)

            let stale = try await harness.request(
                "PUT", "/v1/segments/recent", json: document, headers: ["If-Match": tag])
            #expect(stale.status == 412)
            let exists = try await harness.request(
                "PUT", "/v1/segments/recent", json: document, headers: ["If-None-Match": "*"])
            #expect(exists.status == 412)

            let changed = try await harness.request(
                "PUT", "/v1/segments/recent", json: ["rule": ["count": ["event": "B"]]])
            #expect(
                changed.json["version"] == 1,
                "the rule in force answers until everybody is decided by the next")
            #expect(changed.json[path: "next.version"] == 2)
            #expect(changed.json[path: "next.text"] == "did \"B\"")
            #expect(try await harness.request("GET", "/v1/segments").json["items"]?.array?.count == 1)
            #expect(try await harness.request("DELETE", "/v1/segments/recent").status == 204)
            #expect(try await harness.request("DELETE", "/v1/segments/recent").status == 404)
            let reborn = try await harness.request("PUT", "/v1/segments/recent", json: document)
            #expect(reborn.status == 201)
            #expect(reborn.json["version"] == 4, "versions are never used twice")
        }
    }

    @Test("every mistake in a rule is named with its place and what was expected there")
    func mistakes() async throws {
        try await Installation.with { installation in
            let text = """
                {"rule": {
                  "all": [
                    {"count": {"event": "A", "within": "1 week"}},
                    {"absent": {"event": "A", "colour": "red"}}
                  ]
                }}
                """
            let answer = try await installation.harness.request(
                "PUT", "/v1/segments/wrong", body: Array(text.utf8))
            #expect(answer.status == 400)
            let errors = try #require(answer.json["errors"]?.array)
            #expect(
                errors.map { $0["path"]?.string } == ["rule.all.0.count.within", "rule.all.1.absent.colour"])
            #expect(errors.map { $0["line"]?.integer } == [3, 4])
            #expect(errors[0]["column"] == 40)

            let broken = try await installation.harness.request(
                "PUT", "/v1/segments/wrong", body: Array("{\"rule\":\n  {,}}".utf8))
            #expect(broken.status == 400)
            #expect(broken.json["errors"]?.array?.first?["line"] == 2)
        }
    }

    @Test("a rule that would need unbounded state says so when it is written or previewed, with its place")
    func notices() async throws {
        try await Installation.with { installation in
            let harness = installation.harness
            let rule: JSON = [
                "all": [
                    ["count": ["event": "A", "atLeast": 3]],
                    ["not": ["sum": ["event": "A", "property": "total", "within": "30d", "atLeast": 100]]],
                ]
            ]
            for (method, path) in [("POST", "/v1/segments/preview"), ("PUT", "/v1/segments/told")] {
                let notices = try await harness.request(method, path, json: ["rule": rule]).json["notices"]
                #expect(notices?.array?.map { $0["path"]?.string } == ["rule.all.1.not.sum"])
                #expect(notices?.array?.first?["text"]?.string?.contains("the latest 10,000") == true)
            }
            let changed = try await harness.request(
                "PUT", "/v1/segments/told", json: ["rule": ["count": ["event": "A"]]])
            #expect(changed.json["notices"] == [], "they are of the rule that was written last")
            let score = try await harness.request(
                "PUT", "/v1/scores/engagement",
                json: [
                    "events": [["event": "A", "weight": 1, "perDay": 5], ["event": "B", "weight": 2]],
                    "halfLife": "7d",
                ])
            #expect(score.json["notices"]?.array?.map { $0["path"]?.string } == ["events.1"])
            let stages = try await harness.request(
                "PUT", "/v1/stages",
                json: [
                    "stages": [["id": "aware", "rule": "average of total over \"A\" at least 5 in 30 days"]]
                ])
            #expect(stages.json["notices"]?.array?.map { $0["path"]?.string } == ["stages.0.rule.average"])
        }
    }

    @Test("hostile documents are refused with a 4xx, and nothing breaks")
    func hostile() async throws {
        try await Installation.with { installation in
            for document in HostileDocument.all {
                let answer = try await installation.harness.request(
                    "PUT", "/v1/segments/\(document.id)", body: document.body, headers: document.headers)
                #expect(
                    (400..<500).contains(answer.status), "\(document.name): \(answer.status) \(answer.text)")
                #expect(answer.headers["content-type"] == "application/problem+json")
            }
        }
    }

    @Test("members are listed page by page, each once")
    func pages() async throws {
        try await Installation.with { installation in
            try await installation.put("did", ["count": ["event": "A"]])
            let people = (0..<25).map { Installation.profile("p\($0)") }
            for person in people {
                try await installation.append([Installation.track("A", at: start)], to: person)
            }
            try await installation.drain()
            var seen: [String] = []
            var cursor: String?
            repeat {
                let path = "/v1/segments/did/members?limit=10" + (cursor.map { "&cursor=\($0)" } ?? "")
                let page = try await installation.harness.request("GET", path)
                #expect(page.status == 200)
                seen += (page.json["items"]?.array ?? []).compactMap { $0["profileId"]?.string }
                cursor = page.json["nextCursor"]?.string
            } while cursor != nil
            #expect(seen.count == 25)
            #expect(Set(seen) == Set(people.map(\.description)))
            let bad = try await installation.harness.request("GET", "/v1/segments/did/members?cursor=abc")
            #expect(bad.status == 400)
        }
    }

    @Test("why gives the evidence of the entry, the conditions now, and the next change")
    func why() async throws {
        try await Installation.with { installation in
            let anna = Installation.profile("anna")
            try await installation.put(
                "buyer",
                [
                    "all": [
                        ["count": ["event": "Order Completed", "within": "1h"]],
                        ["not": ["trait": ["name": "vip", "equals": true]]],
                    ]
                ])
            try await installation.append(
                [Installation.track("Order Completed", at: start, id: "order-1")], to: anna)
            try await installation.drain()
            installation.clock.advance(by: .minutes(5))
            let answer = try await installation.harness.request(
                "GET", "/v1/segments/buyer/members/\(anna)/why")
            #expect(answer.status == 200)
            #expect(answer.json["member"] == true)
            #expect(answer.json["nextChangeAt"]?.string == (start + .hours(1)).rfc3339)
            #expect(answer.json[path: "evidence.cause.messageId"] == "order-1")
            #expect(answer.json[path: "conditions.parts.0.events.0.messageId"] == "order-1")
            #expect(answer.json[path: "conditions.parts.0.events.0.offset"]?.integer == 1)
            #expect(answer.json[path: "conditions.parts.1.holds"] == true)
            let list = try await installation.harness.request("GET", "/v1/profiles/\(anna)/segments")
            #expect(list.json[path: "items.0.segment"] == "buyer")

            let stranger = Installation.profile("stranger")
            let nobody = try await installation.harness.request(
                "GET", "/v1/segments/buyer/members/\(stranger)/why")
            #expect(nobody.status == 404)
            #expect(
                try await installation.harness.request("GET", "/v1/profiles/\(stranger)/segments").status
                    == 404)
        }
    }

    @Test("a rule looks at another segment, which then stays; one that isn't there or leads back is refused")
    func references() async throws {
        try await Installation.with { installation in
            let harness = installation.harness
            let unknown = try await harness.request(
                "PUT", "/v1/segments/regulars", json: ["rule": ["segment": "buyers"]])
            #expect(unknown.status == 400)
            #expect(unknown.json[path: "errors.0.path"] == "rule.segment")
            let buyers: JSON = ["rule": "did \"Order Completed\" at least 2 times in 30 days"]
            #expect(try await harness.request("PUT", "/v1/segments/buyers", json: buyers).status == 201)
            let regulars = try await harness.request(
                "PUT", "/v1/segments/regulars", json: ["rule": ["segment": "buyers"]])
            #expect(regulars.status == 201)
            let circle = try await harness.request(
                "PUT", "/v1/segments/buyers", json: ["rule": ["not": ["segment": "regulars"]]])
            #expect(circle.status == 400)
            let kept = try await harness.request("DELETE", "/v1/segments/buyers")
            #expect(kept.status == 409)
            #expect(kept.json["detail"]?.string?.contains("regulars") == true)

            let anna = Installation.profile("anna")
            try await installation.drain()
            try await installation.append(
                [Installation.track("Order Completed", at: start, id: "order-1")], to: anna)
            try await installation.drain()
            let why = try await harness.request("GET", "/v1/segments/regulars/members/\(anna)/why")
            #expect(why.json["member"] == false)
            #expect(why.json[path: "whyNot.text"]?.string?.contains("1 of 2 times") == true)
            #expect(try await harness.request("DELETE", "/v1/segments/regulars").status == 204)
            #expect(try await harness.request("DELETE", "/v1/segments/buyers").status == 204)
        }
    }

    @Test("without a key nothing is read or written")
    func access() async throws {
        try await Installation.with { installation in
            for (method, path) in [
                ("GET", "/v1/segments"), ("PUT", "/v1/segments/a"), ("DELETE", "/v1/segments/a"),
            ] {
                let answer = try await installation.harness.request(method, path, as: .none)
                #expect(answer.status == 401)
            }
        }
    }

    @Test("the contract names exactly the routes that are served")
    func contract() async throws {
        try await Installation.with { installation in
            let text = String(decoding: segmentationContract, as: UTF8.self)
            var documented: Set<String> = []
            var path: String?
            var isInside = false
            for line in text.split(separator: "\n") {
                if !line.hasPrefix(" ") { isInside = line == "paths:" }
                guard isInside else { continue }
                if line.hasPrefix("  /"), line.hasSuffix(":") { path = String(line.dropFirst(2).dropLast()) }
                let key = line.drop { $0 == " " }.prefix { $0 != ":" }
                if line.hasPrefix("    "), !line.hasPrefix("     "), let path,
                    ["get", "put", "post", "delete"].contains(key)
                {
                    documented.insert("\(key.uppercased()) \(path)")
                }
            }
            let served = Set(installation.harness.routes.map { "\($0.method.rawValue) \($0.path)" })
            #expect(served == documented)
        }
    }

    private var segmentationContract: [UInt8] {
        (try? Data(contentsOf: Installation.root.appending(path: "openapi/segmentation.yaml"))).map(
            Array.init) ?? []
    }
}

/// A document that must not be taken, nor break anything.
struct HostileDocument: Sendable {
    let name: String
    var id = "hostile"
    let body: [UInt8]
    var headers: [String: String] = [:]

    static let all: [HostileDocument] = [
        .init(name: "nothing", body: []),
        .init(name: "a NUL", body: text(#"{"rule":{"count":{"event":"a\u0000b"}}}"#)),
        .init(name: "a lone surrogate", body: text(#"{"rule":{"count":{"event":"\ud800"}}}"#)),
        .init(name: "a trailing comma", body: text(#"{"rule":{"count":{"event":"A"},}}"#)),
        .init(
            name: "depth 10,000",
            body: text(
                #"{"rule":"# + String(repeating: #"{"not":"#, count: 10_000) + "1"
                    + String(repeating: "}", count: 10_001))),
        .init(
            name: "depth 21",
            body: text(
                #"{"rule":"# + String(repeating: #"{"not":"#, count: 20) + #"{"count":{"event":"A"}}"#
                    + String(repeating: "}", count: 21))),
        .init(
            name: "501 conditions",
            body: text(
                #"{"rule":{"any":["#
                    + Array(repeating: #"{"count":{"event":"A"}}"#, count: 500).joined(separator: ",") + "]}}"
            )),
        .init(name: "a window of a million years", body: rule(#""within":"365000000d""#)),
        .init(name: "a window of nothing", body: rule(#""within":"0s""#)),
        .init(name: "a negative count", body: rule(#""atLeast":-1"#)),
        .init(name: "a huge count", body: rule(#""atLeast":1e300"#)),
        .init(name: "two comparisons", body: rule(#""atLeast":1,"atMost":2"#)),
        .init(
            name: "11 MB",
            body: rule("\"within\":\"" + String(repeating: "9", count: 11 << 20) + "\"")),
        .init(name: "a bad id", id: "No%20Good", body: rule(#""atLeast":1"#)),
        .init(
            name: "another media type", body: rule(#""atLeast":1"#),
            headers: ["Content-Type": "text/csv"]),
    ]

    private static func text(_ text: String) -> [UInt8] { Array(text.utf8) }
    private static func rule(_ members: String) -> [UInt8] {
        text(#"{"rule":{"count":{"event":"A",\#(members)}}}"#)
    }
}
