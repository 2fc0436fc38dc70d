import Foundation
import Models
import Postgres
import SegmentationDomain
import ServiceKit
import TestSupport
import Testing

@Suite(
    "Stages over HTTP", .enabled(if: TestDatabase.isAvailable, Comment(rawValue: TestDatabase.howToEnable)))
struct StageRouteTests {
    private let start = Installation.start
    private let anna = Installation.profile("anna")
    private let bert = Installation.profile("bert")
    private let two: [(id: String, rule: JSON)] = [
        ("aware", #"did "A""#), ("near", ["count": ["event": "B", "within": "1h"]]),
    ]

    private func event(_ name: String, _ after: Duration = .zero) -> TrackingEvent {
        Installation.track(name, at: start + after)
    }

    @Test("the list is read, and changed under its ETag; names alone make no new version")
    func lifeCycle() async throws {
        try await Installation.with { installation in
            let harness = installation.harness
            let none = try await harness.request("GET", "/v1/stages")
            #expect(none.json["version"] == 0 && none.json["stages"] == [] && none.json["updatedAt"] == .null)
            let tag = try #require(none.headers["etag"])
            let document: JSON = [
                "stages": [
                    ["id": "aware", "name": "Aware", "rule": #"did "A" in 36 hours"#],
                    ["id": "near", "description": "Nearly.", "rule": ["count": ["event": "B"]]],
                ]
            ]
            let put = try await harness.request(
                "PUT", "/v1/stages", json: document, headers: ["If-Match": tag])
            #expect(put.status == 200 && put.json["version"] == 1)
            #expect(put.json[path: "stages.0.text"] == "did \"A\" in 1 day 12 hours")
            #expect(put.json[path: "stages.1.name"] == "near")
            #expect(put.json[path: "stages.1.description"] == "Nearly.")
            let again = try await harness.request("PUT", "/v1/stages", json: document)
            #expect(again.headers["etag"] == put.headers["etag"])
            let stale = try await harness.request(
                "PUT", "/v1/stages", json: document, headers: ["If-Match": tag])
            #expect(stale.status == 412)
            let renamed = try await harness.request(
                "PUT", "/v1/stages",
                json: [
                    "stages": [
                        ["id": "aware", "rule": #"did "A" in 36 hours"#],
                        ["id": "near", "rule": ["count": ["event": "B"]]],
                    ]
                ])
            #expect(renamed.json["version"] == 1 && renamed.headers["etag"] != put.headers["etag"])
            try await installation.putStages(two.reversed())
            let next = try await harness.request("GET", "/v1/stages").json
            #expect(next["version"] == 1 && next[path: "next.version"] == 2)
            #expect(next[path: "next.stages.0.id"] == "near" && next["status"] == "backfilling")
            try await installation.backfill()
            let live = try await harness.request("GET", "/v1/stages").json
            #expect(live["version"] == 2 && live["next"] == .null && live[path: "stages.0.id"] == "near")
            #expect(try await harness.request("GET", "/v1/stages", as: .none).status == 401)
        }
    }

    @Test("a mistake is named with its place; a stage that rules name stays")
    func mistakes() async throws {
        try await Installation.with { installation in
            let harness = installation.harness
            let text = "{\"stages\": [\n  {\"id\": \"a\", \"rule\": {\"count\": {\"event\": 1}}}]}"
            let answer = try await harness.request("PUT", "/v1/stages", body: Array(text.utf8))
            #expect(answer.status == 400)
            #expect(answer.json[path: "errors.0.path"] == "stages.0.rule.count.event")
            #expect(answer.json[path: "errors.0.line"] == 2)
            for document in HostileDocument.all {
                let answer = try await harness.request(
                    "PUT", "/v1/stages", body: document.body, headers: document.headers)
                #expect((400..<500).contains(answer.status), "\(document.name): \(answer.text)")
            }
            let unknown = try await harness.request(
                "PUT", "/v1/segments/s", json: ["rule": "in stage near"])
            #expect(unknown.json[path: "errors.0.expected"] == "the id of a stage that exists")
            try await installation.putStages(two)
            try await installation.put("s", "in stage near")
            let kept = try await harness.request("PUT", "/v1/stages", json: ["stages": []])
            #expect(kept.status == 409 && kept.json["detail"]?.string?.hasSuffix(": s") == true)
            try await installation.put("other", #"did "C""#)
            try await installation.putStages([("aware", ["segment": "other"]), two[1]])
            let used = try await harness.request("DELETE", "/v1/segments/other")
            #expect(used.status == 409 && used.json["detail"]?.string?.hasSuffix(": stage aware") == true)
            let circle = try await harness.request(
                "PUT", "/v1/segments/other", json: ["rule": ["stage": "near"]])
            #expect(circle.json[path: "errors.0.expected"]?.string?.contains("stage aware → other") == true)
            #expect(
                try await harness.request("GET", "/v1/segments/stage:near/members/\(anna)/why").status == 404)
        }
    }

    @Test("moves are told one by one with their evidence, and the table says where everybody is since when")
    func moves() async throws {
        try await Installation.with { installation in
            try await installation.putStages(two)
            try await installation.put("close", "in stage near")
            try await installation.append([event("A"), event("B", .seconds(5))], to: anna)
            try await installation.append([event("B")], to: bert)
            try await installation.drain()
            #expect(try await installation.stages() == [anna: "near", bert: "near"])
            #expect(try await installation.members("close") == [anna, bert])
            installation.clock.set(start + .hours(2))
            try await installation.sweep()
            #expect(try await installation.stages() == [anna: "aware"])
            #expect(
                try await installation.journey(of: anna) == [
                    "none > aware event 0", "aware > near event 5000", "near > aware time 3605000",
                ])
            #expect(
                try await installation.journey(of: bert) == [
                    "none > near event 0", "near > none time 3600000",
                ])
            let last = try #require(try await installation.moves().last { $0.profileID == anna })
            #expect(last.version == 1 && last.evidence["boundary"] == .string(last.at.rfc3339))
            // Nothing of it looks like a segment.
            #expect(try await installation.changes().allSatisfy { $0.segment == "close" })
            #expect(
                try await installation.owner.query(
                    "SELECT FROM profiles.membership WHERE segment <> 'close'"
                ).isEmpty)
            #expect(
                try await installation.owner.query(
                    "SELECT FROM segmentation.segment_hour WHERE segment <> 'close'"
                ).isEmpty)
        }
    }

    @Test("other rules move who is in another stage then; the rest stay since when they were")
    func changed() async throws {
        try await Installation.with { installation in
            try await installation.putStages(two)
            try await installation.append([event("A")], to: anna)
            try await installation.append([event("B")], to: bert)
            try await installation.drain()
            installation.clock.set(start + .minutes(1))
            let put = try await installation.putStages([two[0], ("bought", #"did "B""#)])
            #expect(put.json["status"] == "backfilling")
            try await installation.backfill()
            #expect(try await installation.harness.request("GET", "/v1/stages").json["status"] == "live")
            #expect(try await installation.stages() == [anna: "aware", bert: "bought"])
            #expect(try await installation.journey(of: anna).count == 1)
            #expect(try await installation.journey(of: bert).last == "near > bought definition 60000")
        }
    }

    @Test("a stage that looks at a segment moves when the segment's next rule is in force, and not before")
    func nextRule() async throws {
        try await Installation.with { installation in
            try await installation.put("known", #"did "C""#)
            try await installation.putStages([("aware", ["segment": "known"]), two[1]])
            try await installation.put("asks", "in stage aware")
            try await installation.append([event("C")], to: anna)
            try await installation.append([event("D")], to: bert)
            try await installation.drain()
            try await installation.backfill()
            #expect(try await installation.stages() == [anna: "aware"])
            installation.clock.set(start + .minutes(1))
            try await installation.put("known", #"did "D""#)
            try await installation.append([event("E", .seconds(30))], to: anna)
            try await installation.drain()
            #expect(try await installation.stages() == [anna: "aware"])
            #expect(try await installation.moves().count == 1)
            try await installation.backfill()
            #expect(try await installation.members("known") == [bert])
            #expect(try await installation.members("asks") == [bert])
            #expect(try await installation.stages() == [bert: "aware"])
            #expect(
                try await installation.journey(of: anna).last?.hasPrefix("aware > none definition") == true)
            #expect(
                try await installation.journey(of: bert).map { $0.prefix(23) } == ["none > aware definition"])
            let ids = Set(try await installation.changes().map(\.segment))
            #expect(ids == ["known", "asks"])
            let card = try await installation.harness.request("GET", "/v1/scorecard/\(bert)")
            #expect(card.json[path: "stage.stage"] == "aware")
        }
    }

    @Test("who is merged has one stage, and each has their own again when that is undone")
    func merge() async throws {
        try await Installation.with { installation in
            try await installation.putStages(two)
            try await installation.append([event("A")], to: anna)
            try await installation.append([event("B", .seconds(7))], to: bert)
            try await installation.drain()
            installation.clock.set(start + .minutes(1))
            try await installation.merge(bert, into: anna)
            try await installation.drain()
            #expect(try await installation.stages() == [anna: "near"])
            #expect(try await installation.journey(of: anna).last == "aware > near merge 7000")
            #expect(try await installation.journey(of: bert).last == "near > none merge 7000")
            try await installation.unmerge(bert, from: anna)
            try await installation.drain()
            #expect(try await installation.stages() == [anna: "aware", bert: "near"])
            #expect(try await installation.journey(of: anna).last == "near > aware unmerge 0")
            #expect(try await installation.journey(of: bert).last == "none > near unmerge 7000")
            #expect(try await installation.histories()[bert]?.versions == [:])
        }
    }

    @Test("what is handed out about a person has the stage, and an erasure leaves nothing but a bare move")
    func privacy() async throws {
        try await Installation.with { installation in
            try await installation.putStages(two)
            try await installation.append([event("A")], to: anna)
            try await installation.drain()
            let handler = try #require(installation.harness.running.parts.privacy)
            let request = PrivacyRequest(
                id: PrivacyRequestID(anna.uuid), type: .access, profileID: anna, profileIDs: [anna],
                requestedAt: start)
            let pool = installation.harness.context.pool
            let held = try await pool.transaction { try await handler.access(request, $0) }
            #expect(held[path: "stages.0.stage"] == "aware")
            #expect(held[path: "stages.0.evidence.cause.messageId"] == .string(event("A").messageID))
            let sealed = try await installation.owner.query("SELECT evidence::text AS e FROM profiles.stage")
            #expect(try sealed.first?.get("e", as: String.self).contains("A@") == false)
            let counts = try await pool.transaction { try await handler.erase(request, $0) }
            #expect(counts["stages"] == 1)
            #expect(try await installation.stages() == [:])
            let left = try await pool.transaction { try await handler.access(request, $0) }
            #expect(left["stages"] == [])
            let moves = try await installation.moves()
            #expect(moves.map(\.stage) == ["aware", nil])
            #expect(moves.allSatisfy { $0.evidence == ["erased": true] })
        }
    }
}
