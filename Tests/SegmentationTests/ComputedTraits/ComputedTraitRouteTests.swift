import Foundation
import Models
import Postgres
import ProfileStore
import SegmentationDomain
import ServiceKit
import TestSupport
import Testing

@testable import SegmentationServer

@Suite(
    "Computed traits over HTTP",
    .enabled(if: TestDatabase.isAvailable, Comment(rawValue: TestDatabase.howToEnable)))
struct ComputedTraitRouteTests {
    private let start = Installation.start
    private let anna = Installation.profile("anna")
    private let bert = Installation.profile("bert")

    private func event(
        _ name: String, _ after: Duration = .zero, _ properties: [String: JSON] = [:]
    ) -> TrackingEvent {
        Installation.track(name, at: start + after, properties: properties)
    }

    private func order(_ after: Duration, _ total: JSON) -> TrackingEvent {
        event("Order Completed", after, ["total": total])
    }

    private func define(_ installation: Installation, _ traits: [String: JSON]) async throws {
        for (id, definition) in traits {
            let answer = try await installation.harness.request(
                "PUT", "/v1/computed-traits/\(id)", json: definition)
            #expect(answer.status == 201, "\(answer.text)")
        }
    }

    private func answer(
        _ installation: Installation, _ profile: ProfileID, _ query: String = ""
    ) async throws -> JSON {
        let answer = try await installation.harness.request(
            "GET", "/v1/profiles/\(profile)/computed-traits\(query)")
        #expect(answer.status == 200, "\(answer.text)")
        return answer.json
    }

    private func values(_ answer: JSON, at path: String = "value") -> [String: JSON] {
        Dictionary(
            (answer["computedTraits"]?.array ?? []).map { ($0["id"]?.string ?? "", $0[path: path] ?? .null) },
            uniquingKeysWith: { first, _ in first })
    }

    @Test("a definition is created, read, changed under its ETag, and deleted")
    func lifeCycle() async throws {
        try await Installation.with { installation in
            let harness = installation.harness
            let path = "/v1/computed-traits/seen"
            let document: JSON = [
                "name": "Last seen", "last": ["event": "Product Viewed", "property": "name"],
            ]
            let created = try await harness.request("PUT", path, json: document)
            #expect(created.status == 201, "\(created.text)")
            #expect(created.json["version"] == 1 && created.json["name"] == "Last seen")
            #expect(created.json["text"] == #"last name of "Product Viewed""#)
            #expect(created.json[path: "last.property"] == "name")
            let tag = try #require(created.headers["etag"])
            let again = try await harness.request("PUT", path, json: document)
            #expect(again.status == 200 && again.headers["etag"] == tag)
            let count: JSON = ["count": ["event": "Product Viewed", "within": "7d"]]
            let stale = try await harness.request(
                "PUT", path, json: count, headers: ["If-Match": "\"77\""])
            #expect(stale.status == 412)
            let changed = try await harness.request("PUT", path, json: count, headers: ["If-Match": tag])
            #expect(changed.json["version"] == 2 && changed.json["name"] == "seen")
            #expect(changed.json["last"] == nil && changed.json["count"] != nil)
            let renamed = try await harness.request(
                "PUT", path, json: ["name": "Views", "count": count["count"] ?? .null])
            #expect(renamed.json["version"] == 2 && renamed.headers["etag"] != changed.headers["etag"])
            #expect(try await harness.request("GET", "/v1/computed-traits").json["items"]?.array?.count == 1)
            #expect(try await harness.request("DELETE", path, headers: ["If-Match": tag]).status == 412)
            #expect(try await harness.request("DELETE", path).status == 204)
            #expect(try await harness.request("GET", path).status == 404)
            #expect(try await harness.request("DELETE", path).status == 404)
            #expect(try await harness.request("PUT", path, json: count).json["version"] == 3)
            #expect(try await harness.request("GET", path, as: .none).status == 401)
            try await define(installation, ["a": count, "b": count])
            let first = try await harness.request("GET", "/v1/computed-traits?limit=2").json
            let cursor = try #require(first["nextCursor"]?.string)
            let rest = try await harness.request("GET", "/v1/computed-traits?limit=2&cursor=\(cursor)").json
            #expect(rest["items"]?.array?.map { $0["id"] } == ["seen"] && rest["nextCursor"] == .null)
        }
    }

    @Test("a mistake is named with its place, and there is an end to how many there may be")
    func mistakes() async throws {
        try await Installation.with { installation in
            let harness = installation.harness
            let text = "{\"sum\": {\n  \"event\": \"A\", \"property\": 7}}"
            let answer = try await harness.request(
                "PUT", "/v1/computed-traits/wrong", body: Array(text.utf8))
            #expect(answer.status == 400)
            #expect(answer.json[path: "errors.0.path"] == "sum.property")
            #expect(answer.json[path: "errors.0.line"] == 2 && answer.json[path: "errors.0.column"] == 29)
            for document in HostileDocument.all {
                let answer = try await harness.request(
                    "PUT", "/v1/computed-traits/\(document.id)", body: document.body,
                    headers: document.headers)
                #expect((400..<500).contains(answer.status), "\(document.name): \(answer.text)")
            }
            for query in ["?ids=", "?ids=A", "?ids=a,,b", "?ids=\(String(repeating: "a,", count: 200))a"] {
                let answer = try await harness.request("GET", "/v1/profiles/\(anna)/computed-traits\(query)")
                #expect([400, 404].contains(answer.status), "\(query): \(answer.text)")
            }
            #expect(
                try await harness.request("GET", "/v1/profiles/\(anna)/computed-traits").status == 404)
            #expect(
                try await harness.request("GET", "/v1/profiles/\(anna)/computed-traits", as: .none).status
                    == 401)
            try await installation.owner.execute(
                """
                INSERT INTO segmentation.computed_trait
                SELECT 'a' || n, '', '', 1, '{"count": {"event": "A"}}', 1, now(), now()
                FROM generate_series(1, \(ComputedTraitLimits.definitions)) AS n
                """)
            let full = try await harness.request(
                "PUT", "/v1/computed-traits/more", json: ["count": ["event": "A"]])
            #expect(full.status == 409 && full.json["detail"]?.string?.contains("100") == true)
            let known = try await harness.request(
                "PUT", "/v1/computed-traits/a1", json: ["count": ["event": "B"]])
            #expect(known.status == 200)
        }
    }

    private let traits: [String: JSON] = [
        "orders": ["count": ["event": "Order Completed"]],
        "orders-month": ["count": ["event": "Order Completed", "within": "30d"]],
        "spent": ["sum": ["event": "Order Completed", "property": "total"]],
        "order-value": ["averageOrderValue": [:]],
        "last-viewed": ["last": ["event": "Product Viewed", "property": "name"]],
        "favourite": ["mostFrequent": ["event": "Product Viewed", "property": "category"]],
        "since-order": ["daysSinceLast": ["event": "Order Completed"]],
        "value": ["rfm": [:]],
    ]

    @Test("each value is as of now, with the events that it rests on and the instant at which it changes")
    func valuesNow() async throws {
        try await Installation.with { installation in
            try await define(installation, traits)
            let view = { (after: Duration, name: JSON, category: JSON) in
                event("Product Viewed", after, ["name": name, "category": category])
            }
            try await installation.append(
                [
                    order(.days(1), "10.50"), view(.days(2), "Mug", "Kitchen"),
                    view(.days(3), "Boot", "Shoes"), order(.days(20), 30),
                    // Late, and older than what is known.
                    view(.days(1), "Sandal", "Shoes"),
                ], to: anna)
            installation.clock.set(start + .days(25))
            let answer = try await answer(installation, anna)
            #expect(answer["profileId"] == .string(anna.description))
            #expect(answer["at"] == .string((start + .days(25)).rfc3339))
            let expected: [String: JSON] = [
                "orders": 2, "orders-month": 2, "spent": "40.5", "order-value": "20.25",
                "last-viewed": "Boot", "favourite": "Shoes", "since-order": 5,
                "value": ["recencyDays": 5, "frequency": 2, "monetary": "40.5"],
            ]
            #expect(values(answer) == expected)
            let ends = values(answer, at: "validUntil")
            #expect(ends["orders"] == .null && ends["last-viewed"] == .null)
            #expect(ends["orders-month"] == .string((start + .days(31)).rfc3339))
            #expect(ends["since-order"] == .string((start + .days(26)).rfc3339))
            #expect(ends["value"] == .string((start + .days(26)).rfc3339))
            let evidence = values(answer, at: "evidence")["spent"]
            #expect(evidence?["events"] == 2 && evidence?["complete"] == true)
            #expect(evidence?[path: "first.messageId"] == .string(order(.days(1), 0).messageID))
            #expect(evidence?[path: "last.timestamp"] == .string((start + .days(20)).rfc3339))
            #expect(evidence?[path: "last.offset"]?.integer != nil && evidence?[path: "last.amount"] == nil)
            #expect(values(try await self.answer(installation, anna, "?ids=orders,spent")).count == 2)
            // What was foretold is what comes.
            installation.clock.set(start + .days(31))
            let later = values(try await self.answer(installation, anna))
            #expect(later["orders-month"] == 1 && later["since-order"] == 11)
        }
    }

    @Test("they follow merges, undone merges and erasures as the timeline has them")
    func whose() async throws {
        try await Installation.with { installation in
            try await define(installation, traits)
            let cat = Installation.profile("cat")
            try await installation.append([order(.days(1), 10)], to: anna)
            try await installation.append([order(.days(2), 20)], to: bert)
            try await installation.append([order(.days(4), 1)], to: cat)
            installation.clock.set(start + .days(5))
            func orders(_ profile: ProfileID) async throws -> JSON? {
                values(try await self.answer(installation, profile))["spent"]
            }
            #expect(try await orders(anna) == "10")
            try await installation.merge(bert, into: anna)
            #expect(try await orders(bert) == "30")
            #expect(try await orders(anna) == "30")
            // What the other does now is the person's, and comes apart again by the profile that it arrived under.
            try await installation.append([order(.days(3), 5)], to: anna, under: bert)
            try await installation.merge(anna, into: cat)
            #expect(try await orders(bert) == "36")
            try await installation.unmerge(anna, from: cat)
            #expect(try await orders(cat) == "1")
            #expect(try await orders(bert) == "35")
            try await installation.unmerge(bert, from: anna)
            #expect(try await orders(anna) == "10")
            #expect(try await orders(bert) == "25")
            try await installation.erase([bert])
            let answer = try await installation.harness.request(
                "GET", "/v1/profiles/\(bert)/computed-traits")
            #expect(answer.status == 404 || values(answer.json)["spent"] == "0", "\(answer.text)")
            #expect(try await orders(anna) == "10")
        }
    }

    @Test("a history that is longer than what is read gives the latest of it, and says so")
    func longHistory() async throws {
        try await Installation.with { installation in
            try await installation.append((1...20).map { order(.hours($0), 1) }, to: anna)
            installation.clock.set(start + .days(2))
            let now = installation.clock.now
            let traits = try [
                ["count": ["event": "Order Completed"]],
                ["count": ["event": "Order Completed", "within": "33h"]],
                ["count": ["event": "Order Completed", "within": "34h"]],
                ["last": ["event": "Order Completed", "property": "total"]],
            ].map { try ComputedTrait(RuleField($0)) }
            let vault = installation.harness.running.context.vault
            let found = try await installation.harness.running.context.pool.transaction { transaction in
                try await ComputedTraitReading(transaction, vault: vault)
                    .values(traits, of: anna, at: now, limit: 5)
            }
            // The events of hours 16 to 20 are read, and that of hour 15 is the first that is not.
            #expect(found.map(\.events) == [5, 5, 5, 5])
            #expect(found.map(\.isComplete) == [false, true, false, false])
            #expect(found.last?.value == 1)
            // Where they have no room together, they are worked out some after the others.
            for room in [1, 25, 45] {
                let apart = try await installation.harness.running.context.pool.transaction { transaction in
                    try await ComputedTraitReading(transaction, vault: vault)
                        .values(traits, of: anna, at: now, room: room)
                }
                #expect(apart.map(\.events) == [20, 5, 6, 20], "\(room)")
                #expect(apart.map(\.value) == [20, 5, 6, 1] && apart.allSatisfy(\.isComplete))
            }
        }
    }

    @Test("the scorecard and what is handed out about a person have them")
    func elsewhere() async throws {
        try await Installation.with { installation in
            try await define(installation, traits)
            try await installation.append([order(.days(1), 10)], to: anna)
            installation.clock.set(start + .days(1))
            try await installation.drain()
            let harness = installation.harness
            let plain = try await harness.request("GET", "/v1/scorecard/\(anna)").json
            #expect(plain["computedTraits"] == nil)
            let card = try await harness.request("GET", "/v1/scorecard/\(anna)?include=computed-traits").json
            let spent = card["computedTraits"]?.array?.first { $0["id"] == "spent" }
            #expect(spent?["value"] == "10" && spent?["version"] == 1)
            #expect(try await harness.request("GET", "/v1/scorecard/\(anna)?include=all").status == 400)
            let handler = try #require(harness.running.parts.privacy)
            let request = PrivacyRequest(
                id: PrivacyRequestID(anna.uuid), type: .access, profileID: anna, profileIDs: [anna],
                requestedAt: start + .days(1))
            let held = try await harness.context.pool.transaction { try await handler.access(request, $0) }
            let own = held["computedTraits"]?.array?.first { $0["id"] == "spent" }
            #expect(own?["value"] == "10")
        }
    }

    @Test("the shipped ones are taken as they are, and say of a shopper what is so")
    func shipped() async throws {
        try await Installation.with { installation in
            let folder = Installation.root.appending(path: "deploy/examples/computed-traits")
            let files = try FileManager.default.contentsOfDirectory(
                at: folder, includingPropertiesForKeys: nil)
            for file in files {
                let id = file.deletingPathExtension().lastPathComponent
                let answer = try await installation.harness.request(
                    "PUT", "/v1/computed-traits/\(id)", body: Array(try Data(contentsOf: file)))
                #expect(answer.status == 201, "\(id): \(answer.text)")
            }
            func view(_ days: Int, _ name: JSON, _ category: JSON) -> TrackingEvent {
                event("Product Viewed", .days(days), ["name": name, "category": category])
            }
            try await installation.append(
                [
                    view(0, "Clock", "Home"), view(1, "Mug", "Kitchen"), view(40, "Pan", "Kitchen"),
                    view(41, "Lamp", "Home"),
                    event(
                        "Order Completed", .days(2),
                        ["total": "12.00", "products": [["name": "Mug"], ["name": "Spoon"]]]),
                    event("Order Completed", .days(41), ["total": 40, "products": [["name": "Pan"]]]),
                ], to: anna)
            installation.clock.set(start + .days(60))
            let expected: [String: JSON] = [
                "average-order-value": "26", "categories-viewed": 2,
                "customer-since": .string((start + .days(2)).rfc3339),
                "customer-value": ["recencyDays": 19, "frequency": 2, "monetary": "52"],
                "days-since-order": 19, "favourite-category": "Home", "first-product-bought": "Mug",
                "largest-order": "40", "last-product-viewed": "Lamp", "lifetime-value": "52",
                "orders-last-year": 2,
            ]
            #expect(values(try await answer(installation, anna)) == expected)
        }
    }
}
