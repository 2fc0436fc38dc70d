import Foundation
import Models
import Postgres
import SegmentationDomain
import ServiceKit
import TestSupport
import Testing

@Suite(
    "Scores over HTTP", .enabled(if: TestDatabase.isAvailable, Comment(rawValue: TestDatabase.howToEnable)))
struct ScoreRouteTests {
    private let start = Installation.start
    private let anna = Installation.profile("anna")
    private let bert = Installation.profile("bert")

    private let views: JSON = ["events": [["event": "Product Viewed", "weight": 4]], "halfLife": "1d"]

    private func view(_ after: Duration) -> TrackingEvent {
        Installation.track("Product Viewed", at: start + after)
    }

    @Test("a definition is created, read, changed under its ETag, and deleted")
    func lifeCycle() async throws {
        try await Installation.with { installation in
            let harness = installation.harness
            let document: JSON = [
                "name": "Warmth", "events": [["event": "A", "weight": "1.5", "perDay": 2, "cap": 10]],
                "halfLife": "168h", "maximum": 50, "zone": "Europe/Berlin",
            ]
            let created = try await harness.request("PUT", "/v1/scores/warmth", json: document)
            #expect(created.status == 201)
            #expect(created.json["version"] == 1 && created.json["halfLife"] == "7d")
            #expect(
                created.json["text"]
                    == "1.5 for \"A\", 2 a day at most, 10 in all; half of it is left after 7 days; 50 at most"
            )
            let tag = try #require(created.headers["etag"])
            let again = try await harness.request("PUT", "/v1/scores/warmth", json: document)
            #expect(again.status == 200 && again.headers["etag"] == tag)
            let stale = try await harness.request(
                "PUT", "/v1/scores/warmth", json: views, headers: ["If-Match": "\"77\""])
            #expect(stale.status == 412)
            let changed = try await harness.request(
                "PUT", "/v1/scores/warmth", json: views, headers: ["If-Match": tag])
            #expect(changed.json["version"] == 1 && changed.json["name"] == "warmth")
            #expect(changed.json["halfLife"] == "7d" && changed.json["status"] == "backfilling")
            #expect(changed.json[path: "next.version"] == 2 && changed.json[path: "next.halfLife"] == "1d")
            try await installation.backfill()
            let live = try await harness.request("GET", "/v1/scores/warmth").json
            #expect(live["version"] == 2 && live["halfLife"] == "1d" && live["next"] == .null)
            #expect(try await harness.request("GET", "/v1/scores").json["items"]?.array?.count == 1)
            #expect(try await harness.request("GET", "/v1/scores/warmth").headers["etag"] != tag)
            #expect(
                try await harness.request("DELETE", "/v1/scores/warmth", headers: ["If-Match": tag]).status
                    == 412)
            #expect(try await harness.request("DELETE", "/v1/scores/warmth").status == 204)
            #expect(try await harness.request("GET", "/v1/scores/warmth").status == 404)
            #expect(try await harness.request("PUT", "/v1/scores/warmth", json: views).json["version"] == 4)
            #expect(try await harness.request("GET", "/v1/scores", as: .none).status == 401)
        }
    }

    @Test("a mistake is named with its place and what was expected there")
    func mistakes() async throws {
        try await Installation.with { installation in
            let text = "{\"events\": [\n  {\"event\": \"A\", \"weight\": \"much\"}]}"
            let answer = try await installation.harness.request(
                "PUT", "/v1/scores/wrong", body: Array(text.utf8))
            #expect(answer.status == 400)
            #expect(answer.json[path: "errors.0.path"] == "events.0.weight")
            #expect(answer.json[path: "errors.0.line"] == 2 && answer.json[path: "errors.0.column"] == 28)
            for document in HostileDocument.all {
                let answer = try await installation.harness.request(
                    "PUT", "/v1/scores/\(document.id)", body: document.body, headers: document.headers)
                #expect((400..<500).contains(answer.status), "\(document.name): \(answer.text)")
            }
            let unknown = try await installation.harness.request(
                "PUT", "/v1/segments/warm", json: ["rule": "score warmth at least 2"])
            #expect(unknown.status == 400)
            #expect(unknown.json[path: "errors.0.expected"] == "the id of a score that exists")
            let written = try await installation.harness.request(
                "PUT", "/v1/segments/warm", json: ["rule": ["score": ["id": "warmth", "atLeast": 2]]])
            #expect(written.json[path: "errors.0.path"] == "rule.score.id")
        }
    }

    @Test("a score that rules look at is kept, and says which")
    func inUse() async throws {
        try await Installation.with { installation in
            try await installation.putScore("warmth", views)
            try await installation.put("warm", "score warmth at least 2")
            let kept = try await installation.harness.request("DELETE", "/v1/scores/warmth")
            #expect(kept.status == 409)
            #expect(kept.json["detail"]?.string?.contains("warm") == true)
            #expect(try await installation.harness.request("DELETE", "/v1/segments/warm").status == 204)
            #expect(try await installation.harness.request("DELETE", "/v1/scores/warmth").status == 204)
        }
    }

    @Test(
        "a segment is left at the millisecond at which the score passes the number, and a late event counts")
    func crossing() async throws {
        try await Installation.with { installation in
            try await installation.putScore("warmth", views)
            try await installation.put("warm", "score warmth at least 2")
            try await installation.put("hot", "score warmth more than 6")
            try await installation.append([view(.zero)], to: anna)
            try await installation.append([view(.hours(12)), view(.hours(13))], to: bert)
            try await installation.drain()
            #expect(try await installation.members("warm") == [anna, bert])
            #expect(try await installation.members("hot") == [bert])
            installation.clock.set(start + .days(1))
            try await installation.sweep()
            #expect(try await installation.members("warm") == [anna, bert])
            installation.clock.set(start + .days(1) + .milliseconds(1))
            try await installation.sweep()
            #expect(try await installation.members("warm") == [bert])
            #expect(
                try await installation.story(of: "warm", anna)
                    == ["entered event 0", "exited time 86400001"])
            // One from half a day ago comes now: it counts with what is left of it.
            try await installation.append([view(.hours(12))], to: anna)
            try await installation.drain()
            #expect(
                try await installation.story(of: "warm", anna).last == "entered event 86400001")
            let why = try await installation.harness.request("GET", "/v1/segments/warm/members/\(anna)/why")
            #expect(why.json[path: "conditions.details.score"] == "4.828427")
            #expect(why.json[path: "conditions.events.1.amount"] == "4")
        }
    }

    @Test("a score that is made up in another way changes who is in the segments that look at it")
    func changed() async throws {
        try await Installation.with { installation in
            try await installation.putScore("warmth", views)
            try await installation.put("warm", "score warmth at least 2")
            try await installation.append([view(.zero)], to: anna)
            try await installation.append([Installation.track("B", at: start)], to: bert)
            try await installation.drain()
            #expect(try await installation.members("warm") == [anna])
            installation.clock.set(start + .minutes(1))
            let put = try await installation.putScore("warmth", ["events": [["event": "B", "weight": 3]]])
            #expect(put.json["status"] == "backfilling")
            try await installation.backfill()
            #expect(try await installation.members("warm") == [bert])
            #expect(try await installation.story(of: "warm", bert) == ["entered definition 60000"])
            let changes = try await installation.changes(of: "warm")
            #expect(changes.map(\.version) == [1, 1, 1])
            #expect(changes.last?.evidence[path: "conditions.details.version"] == 2)
            let live = try await installation.harness.request("GET", "/v1/scores/warmth")
            #expect(live.json["status"] == "live")
            #expect(
                try await installation.owner.query(
                    "SELECT FROM profiles.membership WHERE segment LIKE 'score%'"
                ).isEmpty)
            #expect(try await installation.changes().allSatisfy { $0.segment == "warm" })
        }
    }

    @Test("what is handed out about a person has the scores, and an erasure leaves nothing of them")
    func privacy() async throws {
        try await Installation.with { installation in
            try await installation.putScore("warmth", views)
            try await installation.append([view(.zero)], to: anna)
            try await installation.drain()
            installation.clock.set(start + .days(1))
            let handler = try #require(installation.harness.running.parts.privacy)
            let request = PrivacyRequest(
                id: PrivacyRequestID(anna.uuid), type: .access, profileID: anna, profileIDs: [anna],
                requestedAt: start + .days(1))
            let pool = installation.harness.context.pool
            let held = try await pool.transaction { try await handler.access(request, $0) }
            #expect(held[path: "scores.0.id"] == "warmth" && held[path: "scores.0.score"] == "2")
            #expect(held[path: "scores.0.events.0.messageId"] == .string(view(.zero).messageID))
            _ = try await pool.transaction { try await handler.erase(request, $0) }
            let left = try await pool.transaction { try await handler.access(request, $0) }
            #expect(left["scores"] == [])
        }
    }
}
