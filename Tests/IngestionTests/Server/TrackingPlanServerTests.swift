import Foundation
import IngestionDomain
import Models
import ServiceKit
import TestSupport
import Testing

@testable import IngestionServer

@Suite(
    "Tracking plans in force",
    .enabled(if: TestDatabase.isAvailable, Comment(rawValue: TestDatabase.howToEnable)))
struct TrackingPlanServerTests {
    private static let plan: JSON = [
        "mode": "quarantine", "unplanned": "allow",
        "events": [
            "Order Completed": [
                "type": "object", "required": ["order_id"],
                "properties": [
                    "order_id": ["type": "string"], "total": ["type": "number"],
                    "note": ["type": "string", "x-martlet-personal": "drop"],
                    "phone": ["type": "string", "x-martlet-personal": "hash"],
                ],
            ]
        ],
    ]

    private func put(
        _ plan: JSON, _ collecting: Collecting, headers: [String: String] = [:]
    ) async throws -> ServiceHarness.Answer {
        try await collecting.service.request(
            "PUT", "/v1/sources/\(collecting.sourceID)/tracking-plan", body: Array(plan.compact.utf8),
            headers: headers)
    }

    private func order(_ id: String, _ properties: [String: JSON]) -> JSON {
        [
            "event": "Order Completed", "userId": "u", "messageId": .string(id),
            "properties": .object(properties),
        ]
    }

    @Test(
        "what breaks the plan is quarantined without what is personal, and taken in when the plan is mended")
    func quarantine() async throws {
        try await Collecting.with { collecting in
            #expect(try await put(Self.plan, collecting).status == 201)
            let good = try await collecting.send(
                "track", order("1", ["order_id": "a", "note": "ring at Jo's", "phone": "+44 1"]))
            #expect(good.json["accepted"] == 1)
            let bad = try await collecting.send(
                "track", order("2", ["order_id": "b", "total": "free", "note": "ring at Jo's"]))
            #expect(bad.json["quarantined"] == 1)
            #expect(bad.json[path: "items.0.reason"]?.string?.hasPrefix("schema: plan-violation") == true)
            let event = try #require(try await collecting.stored().first)
            #expect(event.properties["note"] == nil)
            #expect(event.properties["phone"]?.string?.hasPrefix("hashed:") == true)
            #expect(event.context["trackingPlan"]?["version"] == 1)

            let items = try await collecting.service.request("GET", "/v1/quarantine?reason=schema").json
            let id = try #require(items[path: "items.0.quarantineId"]?.string)
            let kept = try await collecting.service.request("GET", "/v1/quarantine/\(id)").json
            let bytes = try #require(kept["bytes"]?.string.flatMap { Data(base64Encoded: $0) })
            #expect(!String(decoding: bytes, as: UTF8.self).contains("Jo"))

            // Nothing has been mended yet.
            let early = try await collecting.service.request(
                "POST", "/v1/quarantine/replay", json: ["reason": "schema"])
            #expect(early.json["accepted"] == 0)
            #expect(early.json["quarantined"] == 1, "\(early.text)")
            #expect(try await collecting.stored().count == 1)

            var mended = Self.plan.object ?? [:]
            mended["mode"] = "allow"
            #expect(try await put(.object(mended), collecting).json["version"] == 2)
            let replayed = try await collecting.service.request(
                "POST", "/v1/quarantine/replay", json: ["reason": "schema"])
            #expect(replayed.json["accepted"] == 1, "\(replayed.text)")
            let second = try #require(try await collecting.stored().first { $0.messageID == "2" })
            #expect(second.properties["total"] == "free")
            #expect(second.timestamp == noon)
            #expect(try await collecting.reconciliation()["balanced"] == true)
        }
    }

    @Test("what could not be read at all is treated like anything else when it is taken in")
    func treatedLate() async throws {
        try await Collecting.with { collecting in
            #expect(try await put(Self.plan, collecting).status == 201)
            var item =
                order(
                    "3", ["order_id": "c", "note": "ring at Jo's", "phone": "+44 1", "total": "a\u{0}b"]
                ).object ?? [:]
            item["event"] = "purchase"
            item["context"] = ["ip": "203.0.113.77"]
            item["timestamp"] = "1850-01-01T00:00:00Z"
            let bad = try await collecting.send("track", .object(item))
            #expect(bad.json["quarantined"] == 1, "\(bad.text)")
            func replay(_ fields: JSON) async throws -> ServiceHarness.Answer {
                try await collecting.service.request("POST", "/v1/quarantine/replay", json: fields)
            }
            let wanted: JSON = ["text": "ring at Jo", "mend": ["text", "time"]]
            #expect(try await replay(["text": "elsewhere", "mend": ["text", "time"]]).json["items"] == [])
            // A total that is no number breaks the plan, whatever the item was kept for.
            let still = try await replay(wanted)
            #expect(still.json["quarantined"] == 1, "\(still.text)")
            #expect(still.json[path: "items.0.reason"]?.string?.hasPrefix("schema: plan-violation") == true)
            var mended = Self.plan.object ?? [:]
            mended["mode"] = "allow"
            #expect(try await put(.object(mended), collecting).status == 200)
            #expect(try await replay(wanted).json["accepted"] == 1)
            let event = try #require(try await collecting.stored().first)
            #expect(event.name == "Order Completed")
            #expect(event.properties["note"] == nil)
            #expect(event.properties["phone"]?.string?.hasPrefix("hashed:") == true)
            #expect(event.context["ip"] == "203.0.113.0")
            #expect(event.context["trackingPlan"]?["version"] == 2)
            #expect(try await collecting.reconciliation()["balanced"] == true)
        }
    }

    @Test("plans have versions, a writer of an old one is told, and mistakes are refused with their places")
    func versions() async throws {
        try await Collecting.with { collecting in
            let path = "/v1/sources/\(collecting.sourceID)/tracking-plan"
            #expect(try await collecting.service.request("GET", path).status == 404)
            #expect(try await put(Self.plan, collecting, headers: ["If-None-Match": "*"]).status == 201)
            #expect(try await put(Self.plan, collecting, headers: ["If-None-Match": "*"]).status == 412)
            #expect(try await put(Self.plan, collecting, headers: ["If-Match": "\"1\""]).status == 200)
            #expect(try await put(Self.plan, collecting, headers: ["If-Match": "\"1\""]).status == 412)
            let wrong = try await put(
                ["mode": "quarantine", "events": ["x": ["type": "strin", "minLength": -1]]], collecting)
            #expect(wrong.status == 422)
            #expect(wrong.json["errors"]?.array?.count == 2, "\(wrong.text)")
            #expect(try await collecting.service.request("DELETE", path).status == 204)
            #expect(try await collecting.service.request("GET", path).status == 404)
            let old = try await collecting.service.request("GET", "\(path)?version=1")
            #expect(old.json["plan"]?["mode"] == "quarantine")
            let elsewhere = "/v1/sources/\(UUIDv7.derived(at: noon, from: "x"))/tracking-plan"
            #expect(try await collecting.service.request("GET", elsewhere).status == 404)
        }
    }

    @Test(
        "names of Google Analytics become the vocabulary's, and addresses are truncated, unless the source says no"
    )
    func treatment() async throws {
        try await Collecting.with { collecting in
            func send(_ id: String) async throws {
                let answer = try await collecting.send(
                    "track",
                    [
                        "event": "add_to_cart", "userId": "u", "messageId": .string(id),
                        "context": ["ip": "203.0.113.77"],
                        "properties": ["items": [["item_id": "s1", "item_name": "Mug", "price": 5]]],
                    ])
                #expect(answer.json["accepted"] == 1, "\(answer.text)")
            }
            try await send("1")
            let event = try #require(try await collecting.stored().first)
            #expect(event.name == "Product Added")
            #expect(event.properties["product_id"] == "s1")
            #expect(event.context["ip"] == "203.0.113.0")
            #expect(event.context["martlet"]?["originalEvent"] == "add_to_cart")

            let path = "/v1/sources/\(collecting.sourceID)/treatment"
            #expect(
                try await collecting.service.request("GET", path).json == [
                    "ip": "truncate", "vocabulary": true,
                ])
            let put = try await collecting.service.request(
                "PUT", path, json: ["ip": "drop", "vocabulary": false])
            #expect(put.json == ["ip": "drop", "vocabulary": false])
            let wrong = try await collecting.service.request("PUT", path, json: ["ip": "guess"])
            #expect(wrong.status == 400)
        }
    }
}
