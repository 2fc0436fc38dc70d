import Foundation
import Models
import Postgres
import SegmentationDomain
import ServiceKit
import TestSupport
import Testing

@testable import SegmentationServer

@Suite(
    "Segments before and after they are stored",
    .enabled(if: TestDatabase.isAvailable, Comment(rawValue: TestDatabase.howToEnable)))
struct LiveDefinitionTests {
    private let start = Installation.start

    private func people(_ count: Int) -> [ProfileID] { (0..<count).map { Installation.profile("p\($0)") } }

    @Test("a preview of few people is exact, agrees with the segment once it is stored, and stores nothing")
    func exactPreview() async throws {
        try await Installation.with { installation in
            let people = people(60)
            try await installation.put("viewers", ["count": ["event": "Viewed"]])
            for (index, person) in people.enumerated() {
                var events = [Installation.track("Viewed", at: start - .hours(index))]
                if index % 3 == 0 { events.append(Installation.track("Bought", at: start - .minutes(5))) }
                try await installation.append(index % 2 == 0 ? events : Array(events.dropFirst()), to: person)
            }
            try await installation.drain()
            try await installation.sweep()

            let rule: JSON = .string(#"did "Bought" in 1 day and in segment viewers"#)
            let answer = try await installation.harness.request(
                "POST", "/v1/segments/preview", json: ["rule": rule])
            #expect(answer.status == 200, "\(answer.text)")
            #expect(answer.json["exact"] == true)
            // Those with an odd number and no third event have done nothing at all.
            let known = people.indices.count { $0 % 2 == 0 || $0 % 3 == 0 }
            #expect(answer.json["population"]?.integer == Int64(known))
            let estimate = try #require(answer.json["members"]?["estimate"]?.integer)
            #expect(answer.json["members"]?["low"]?.integer == estimate)
            #expect(answer.json["members"]?["high"]?.integer == estimate)
            #expect(answer.json["sample"]?.array?.count == 10)
            let overlap = try #require(answer.json["overlap"]?.array?.first)
            #expect(overlap["segment"] == "viewers")
            #expect(overlap["both"]?["estimate"]?.integer == estimate)
            #expect(overlap["shareOfPreview"]?.number == 1)

            #expect(
                try await installation.harness.request("GET", "/v1/segments").json["items"]?.array?.count == 1
            )
            try await installation.put("buyers", rule)
            try await installation.backfill()
            #expect(try await installation.members("buyers").count == Int(estimate))
            #expect(estimate == 10)
        }
    }

    @Test(
        "who is shown pseudonyms previews and writes no rule that asks for somebody by name, in JSON or as text"
    )
    func names() async throws {
        try await Installation.with { installation in
            let made = try await APIKeyStore(pool: installation.owner).create(
                name: "test", scopes: [.segmentsRead, .segmentsWrite], now: .fromSystemClock())
            func statuses(_ rule: JSON) async throws -> [Int] {
                var statuses: [Int] = []
                for (method, path, body) in [
                    ("POST", "/v1/segments/preview", ["rule": rule]),
                    ("PUT", "/v1/segments/guess", ["rule": rule]),
                    ("PUT", "/v1/stages", ["stages": [["id": "guess", "rule": rule]]]),
                    ("PUT", "/v1/scores/guess", ["rules": [["points": 1, "rule": rule]]]),
                ] as [(String, String, JSON)] {
                    statuses.append(
                        try await installation.harness.request(
                            method, path, json: body, as: .bearer(made.text)
                        ).status)
                }
                return statuses
            }
            for rule: JSON in [
                ["trait": ["name": "email", "equals": "ada@example.com"]],
                #"trait email = "ada@example.com""#,
                ["any": [["trait": ["name": "lastName", "startsWith": "Lov"]], ["count": ["event": "x"]]]],
            ] {
                #expect(try await statuses(rule) == [403, 403, 403, 403], "\(rule.compact)")
            }
            #expect(
                try await statuses(["trait": ["name": "plan", "equals": "pro"]]).allSatisfy { $0 != 403 })
            let answer = try await installation.harness.request(
                "POST", "/v1/segments/preview",
                json: ["rule": ["trait": ["name": "email", "equals": "ada@example.com"]]])
            #expect(answer.status == 200)
        }
    }

    @Test("a preview of many looks at a sample, the same every time, and the truth is within its bounds")
    func sampledPreview() async throws {
        try await Installation.with { installation in
            // More than are looked at; a fifth of them has bought. One event each, and so one statement for all.
            let people = people(6_000)
            try await installation.know(people)
            try await installation.append(
                people.enumerated().map { index, person in
                    .event(
                        profileID: person, arrivedUnder: person,
                        event: Installation.track(
                            index % 5 == 0 ? "Bought" : "Viewed", at: start - .minutes(5), id: "m\(index)"))
                })
            try await installation.drain()
            let document: JSON = ["rule": ["count": ["event": "Bought"]]]
            let answers = try await [
                installation.harness.request("POST", "/v1/segments/preview", json: document),
                installation.harness.request("POST", "/v1/segments/preview", json: document),
            ]
            for answer in answers {
                #expect(answer.json["exact"] == false)
                let members = try #require(answer.json["members"])
                let (low, high) = (
                    try #require(members["low"]?.integer), try #require(members["high"]?.integer)
                )
                // The sample is fixed, so this holds always or never.
                #expect((low...high).contains(1_200), "\(answer.text)")
                #expect(abs((answer.json["population"]?.integer ?? 0) - 6_000) < 900)
            }
            #expect(answers[0].json["sample"] == answers[1].json["sample"])
        }
    }

    @Test("a mistake in a previewed rule is named with its place")
    func wrongPreview() async throws {
        try await Installation.with { installation in
            let harness = installation.harness
            let unknown = try await harness.request(
                "POST", "/v1/segments/preview", json: ["rule": ["inSegment": "nobody"]])
            #expect(unknown.status == 400)
            #expect(unknown.json["errors"]?.array?.first?["path"] == "rule.inSegment")
            let none = try await harness.request("POST", "/v1/segments/preview", json: [:])
            #expect(none.status == 400)
            #expect(try await harness.request("PUT", "/v1/segments/~preview", json: [:]).status == 400)
        }
    }

    @Test("the history counts who entered and left in each hour, and its size is that of the segment")
    func history() async throws {
        try await Installation.with { installation in
            let people = people(5)
            try await installation.put("fresh", ["count": ["event": "A", "within": "2h"]])
            for (index, person) in people.enumerated() {
                try await installation.append(
                    [Installation.track("A", at: start + .minutes(index * 30))], to: person)
            }
            installation.clock.advance(by: .hours(3))
            try await installation.drain()
            try await installation.sweep()
            let path = "/v1/segments/fresh/history?from=\((start - .hours(2)).rfc3339)"
            let answer = try await installation.harness.request("GET", path)
            #expect(answer.status == 200, "\(answer.text)")
            let items = try #require(answer.json["items"]?.array)
            #expect(items.reduce(0) { $0 + ($1["entered"]?.integer ?? 0) } == 5)
            let members = try await installation.members("fresh").count
            #expect(items.last?["size"]?.integer == Int64(members))
            #expect(items.reduce(0) { $0 + ($1["left"]?.integer ?? 0) } == 5 - Int64(members))
            for item in items {
                let at = try #require(item["at"]?.string.flatMap { Instant(rfc3339: $0) })
                #expect(at.milliseconds % 3_600_000 == 0)
            }
            // What came before the first hour that is shown is in its size.
            let later = try await installation.harness.request(
                "GET", "/v1/segments/fresh/history?from=\((start + .hours(1)).rfc3339)")
            #expect(later.json["items"]?.array?.last?["size"] == items.last?["size"])
            let days = try await installation.harness.request(
                "GET", "/v1/segments/fresh/history?by=day&zone=Europe/Berlin")
            #expect(days.json["items"]?.array?.last?["size"] == items.last?["size"])
            for wrong in ["by=week", "zone=Mars", "from=x", "from=2020-01-01T00:00:00Z"] {
                #expect(
                    try await installation.harness.request("GET", "/v1/segments/fresh/history?\(wrong)")
                        .status
                        == 400)
            }
        }
    }

    @Test("a snapshot keeps who was in a segment, whatever comes, but for those who are erased")
    func snapshots() async throws {
        try await Installation.with { installation in
            let harness = installation.harness
            let people = people(3)
            try await installation.put("all", ["count": ["event": "A"]])
            for person in people.prefix(2) {
                try await installation.append([Installation.track("A", at: start)], to: person)
            }
            try await installation.drain()
            let made = try await harness.request(
                "POST", "/v1/segments/all/snapshot", json: ["note": "before"])
            #expect(made.status == 201, "\(made.text)")
            #expect(made.json["members"] == 2)
            let id = try #require(made.json["id"]?.string)
            #expect(made.headers["location"] == "/v1/snapshots/\(id)")

            try await installation.append([Installation.track("A", at: start)], to: people[2])
            try await installation.append([.erased(profileID: people[0], at: start)])
            try await installation.drain()
            let kept = try await harness.request("GET", "/v1/snapshots/\(id)/members")
            #expect(
                kept.json["items"]?.array?.compactMap { $0["profileId"]?.string } == [people[1].description])
            #expect(try await harness.request("GET", "/v1/snapshots/\(id)").json["note"] == "before")

            installation.clock.advance(by: .hours(1))
            let second = try await harness.request("POST", "/v1/segments/all/snapshot")
            #expect(second.json["members"] == 2)
            let page = try await harness.request("GET", "/v1/segments/all/snapshots?limit=1")
            #expect(page.json["items"]?.array?.first?["id"] == second.json["id"])
            let cursor = try #require(page.json["nextCursor"]?.string)
            let next = try await harness.request("GET", "/v1/segments/all/snapshots?limit=1&cursor=\(cursor)")
            #expect(next.json["items"]?.array?.first?["id"]?.string == id)
            #expect(next.json["nextCursor"] == .null)
            #expect(try await harness.request("DELETE", "/v1/snapshots/\(id)").status == 204)
            #expect(try await harness.request("GET", "/v1/snapshots/\(id)/members").status == 404)
            #expect(try await harness.request("POST", "/v1/segments/none/snapshot").status == 404)

            // Sent again under its key it is the same one, and made once.
            let key = ["Idempotency-Key": "winter"]
            let once = try await harness.request("POST", "/v1/segments/all/snapshot", json: [:], headers: key)
            let again = try await harness.request(
                "POST", "/v1/segments/all/snapshot", json: [:], headers: key)
            #expect(once.status == 201 && again.status == 201)
            #expect(again.json == once.json)
            #expect(again.headers["location"] == once.headers["location"])
            let other = try await harness.request(
                "POST", "/v1/segments/all/snapshot", json: ["note": "x"], headers: key)
            #expect(other.status == 409)
            let list = try await harness.request("GET", "/v1/segments/all/snapshots")
            #expect(list.json["items"]?.array?.count == 2)
        }
    }

    @Test("no more than two previews are worked out at a time; the next is told to come again")
    func busyPreviews() async throws {
        try await Installation.with { installation in
            let harness = installation.harness
            let document: JSON = ["rule": ["count": ["event": "A"]]]
            let statuses: [Int] = try await installation.owner.transaction { transaction in
                try await transaction.execute(
                    "LOCK TABLE segmentation.profile_state IN ACCESS EXCLUSIVE MODE")
                let tasks = (0..<5).map { _ in
                    Task { try await harness.request("POST", "/v1/segments/preview", json: document) }
                }
                // Two wait for the table; the others are answered while it is locked.
                var statuses: [Int] = []
                try await withThrowingTaskGroup { group in
                    for task in tasks { group.addTask { try await task.value.status } }
                    for try await status in group {
                        statuses.append(status)
                        if statuses.count == 3 { try await transaction.execute("ROLLBACK") }
                    }
                }
                return statuses
            }
            #expect(statuses == [429, 429, 429, 200, 200])
            let after = try await harness.request("POST", "/v1/segments/preview", json: document)
            #expect(after.status == 200)
        }
    }
}
