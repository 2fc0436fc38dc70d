import Foundation
import Models
import Postgres
import SegmentationDomain
import ServiceKit
import Streams
import TestSupport
import Testing

@Suite(
    "Memberships on a real database",
    .enabled(if: TestDatabase.isAvailable, Comment(rawValue: TestDatabase.howToEnable)))
struct MembershipTests {
    private let start = Installation.start
    private let anna = Installation.profile("anna")
    private let bert = Installation.profile("bert")

    @Test("an event makes a member, and time ends the membership at the exact millisecond")
    func window() async throws {
        try await Installation.with { installation in
            try await installation.put("recent", ["count": ["event": "A", "within": "10s"]])
            try await installation.append([Installation.track("A", at: start)], to: anna)
            try await installation.drain()
            #expect(try await installation.members("recent") == [anna])

            installation.clock.set(start + .milliseconds(9_999))
            #expect(try await installation.sweep() == 0)
            #expect(try await installation.members("recent") == [anna])

            installation.clock.set(start + .milliseconds(10_000))
            #expect(try await installation.sweep() == 1)
            #expect(try await installation.members("recent") == [])
            #expect(try await installation.story(of: "recent") == ["entered event 0", "exited time 10000"])
            let exit = try #require(try await installation.changes().last)
            #expect(exit.evidence["boundary"]?.string == exit.at.rfc3339)
            #expect(
                exit.evidence["before"]?["events"]?.array?.first?["messageId"]?.string
                    == "A@\(start.milliseconds)")
        }
    }

    @Test("history that is read in years later gives its entries and exits at its own instants")
    func history() async throws {
        try await Installation.with { installation in
            try await installation.put("recent", ["count": ["event": "A", "within": "1d"]])
            let past = start - .days(700)
            try await installation.append(
                [Installation.track("A", at: past), Installation.track("A", at: past + .days(3))], to: anna)
            try await installation.drain()
            try await installation.sweep()
            let story = try await installation.changes().map { "\($0.change) \($0.at - past)" }
            #expect(
                story == [
                    "entered \(Duration.zero)", "exited \(Duration.days(1))", "entered \(Duration.days(3))",
                    "exited \(Duration.days(4))",
                ])
            #expect(try await installation.owner.query("SELECT FROM segmentation.deadline").isEmpty)
        }
    }

    @Test("deadlines of many profiles fire in the order of their instants")
    func order() async throws {
        try await Installation.with { installation in
            try await installation.put("recent", ["count": ["event": "A", "within": "1s"]])
            for number in 0..<30 {
                try await installation.append(
                    [Installation.track("A", at: start + .milliseconds((number * 37) % 500))],
                    to: Installation.profile("p\(number)"))
            }
            try await installation.drain()
            installation.clock.advance(by: .seconds(10))
            #expect(try await installation.sweep() == 30)
            var latest: [Shard: Instant] = [:]
            for record in try await installation.harness.published(.memberships) {
                let change = try MembershipChange(json: record.body)
                guard change.change == .exited else { continue }
                #expect(change.at >= latest[record.shard] ?? .distantPast)
                latest[record.shard] = change.at
            }
        }
    }

    @Test(
        "a segment that is deleted and made again has nobody of the old one in it, from the first moment on")
    func madeAgain() async throws {
        try await Installation.with { installation in
            let harness = installation.harness
            try await installation.put("vip", ["count": ["event": "A"]])
            try await installation.append([Installation.track("A", at: start)], to: anna)
            try await installation.append(
                [Installation.track("A", at: start), Installation.track("B", at: start)], to: bert)
            try await installation.drain()
            #expect(try await installation.members("vip") == [anna, bert])
            #expect(try await harness.request("DELETE", "/v1/segments/vip").status == 204)
            try await installation.put("vip", ["count": ["event": "B"]])
            #expect(try await installation.members("vip") == [])
            let export = try await harness.request("GET", "/v1/segments/vip/export?format=ndjson")
            #expect(export.text == "")
            let snapshot = try await harness.request("POST", "/v1/segments/vip/snapshot")
            #expect(snapshot.json["members"] == 0, "\(snapshot.text)")
            let own = try await harness.request("GET", "/v1/profiles/\(anna)/segments")
            #expect(own.json["items"]?.array?.isEmpty ?? true, "\(own.text)")
            try await installation.backfill()
            #expect(try await installation.members("vip") == [bert])
            #expect(
                try await installation.changes().filter { $0.profileID == anna }.map(\.change) == [
                    .entered, .exited,
                ])
        }
    }

    @Test(
        "a new rule takes in the whole history, a changed one tells true differences only, a deleted one empties"
    )
    func definitions() async throws {
        try await Installation.with { installation in
            try await installation.append([Installation.track("A", at: start - .days(5))], to: anna)
            try await installation.append([Installation.track("B", at: start - .days(5))], to: bert)
            try await installation.drain()

            let created = try await installation.put("did", ["count": ["event": ["A", "B"]]])
            #expect(created.json["status"] == "backfilling")
            try await installation.backfill()
            #expect(try await installation.members("did") == [anna, bert])
            #expect(
                try await installation.harness.request("GET", "/v1/segments/did").json["status"] == "live")

            installation.clock.advance(by: .hours(1))
            try await installation.put("did", ["count": ["event": "A"]])
            try await installation.backfill()
            try await installation.backfill()
            #expect(try await installation.members("did") == [anna])
            #expect(try await installation.story(of: "did", anna) == ["entered definition 0"])
            #expect(
                try await installation.story(of: "did", bert)
                    == ["entered definition 0", "exited definition 3600000"])

            let deleted = try await installation.harness.request("DELETE", "/v1/segments/did")
            #expect(deleted.status == 204)
            try await installation.backfill()
            #expect(try await installation.members("did") == [])
            #expect(try await installation.changes().last { $0.profileID == anna }?.reason == .definition)
            #expect(try await installation.harness.request("GET", "/v1/segments/did").status == 404)
        }
    }

    @Test("a fact that comes before the backfill has reached its profile is decided by the new rule, once")
    func lazyBackfill() async throws {
        try await Installation.with { installation in
            try await installation.append([Installation.track("A", at: start - .days(5))], to: anna)
            try await installation.drain()
            try await installation.put("twice", ["count": ["event": "A", "atLeast": 2]])
            try await installation.append([Installation.track("A", at: start + .seconds(1))], to: anna)
            try await installation.drain()
            try await installation.backfill()
            #expect(try await installation.story(of: "twice") == ["entered event 1000"])
        }
    }

    @Test("a merge rebuilds the survivor from both histories and ends the loser's memberships")
    func merge() async throws {
        try await Installation.with { installation in
            try await installation.put("one", ["count": ["event": "A", "within": "1h"]])
            try await installation.put("two", ["count": ["event": "A", "atLeast": 2, "within": "1h"]])
            try await installation.append([Installation.track("A", at: start)], to: anna)
            try await installation.append([Installation.track("A", at: start + .seconds(5))], to: bert)
            try await installation.drain()
            try await installation.merge(bert, into: anna)
            try await installation.append(
                [Installation.track("A", at: start + .minutes(30))], to: anna, under: bert)
            try await installation.drain()
            #expect(try await installation.members("one") == [anna])
            #expect(try await installation.members("two") == [anna])
            #expect(try await installation.story(of: "two", anna) == ["entered merge 5000"])
            #expect(
                try await installation.story(of: "one", bert) == ["entered event 5000", "exited merge 5000"])
            // A rule that comes later sees the same joint history.
            try await installation.put("three", ["count": ["event": "A", "atLeast": 3]])
            try await installation.backfill()
            #expect(try await installation.members("three") == [anna])
            let why = try await installation.harness.request("GET", "/v1/segments/three/members/\(bert)/why")
            #expect(why.json["profileId"]?.string == anna.description)
            #expect(why.json["member"] == true)
        }
    }

    @Test("an erased profile leaves everything, and nothing of it stays but bare changes")
    func erasure() async throws {
        try await Installation.with { installation in
            try await installation.put(
                "tall", ["trait": ["name": "email", "contains": "anna@example.com"]])
            let identify = TrackingEvent(
                messageID: "i1", kind: .identify, timestamp: start, receivedAt: start,
                sourceID: Installation.source, traits: ["email": "anna@example.com"])
            try await installation.append([identify], to: anna)
            try await installation.drain()
            #expect(try await installation.members("tall") == [anna])
            let handler = try #require(installation.harness.running.parts.privacy)
            let request = PrivacyRequest(
                id: PrivacyRequestID(anna.uuid), type: .access, profileID: anna, profileIDs: [anna],
                requestedAt: start + .seconds(9))
            let pool = installation.harness.context.pool
            let held = try await pool.transaction { try await handler.access(request, $0) }
            #expect(held.compact.contains("anna@example.com"))
            let counts = try await pool.transaction { try await handler.erase(request, $0) }
            #expect(
                counts == [
                    "states": 1, "keptEvidence": 0, "memberships": 1, "changes": 1, "snapshots": 0,
                    "stages": 0,
                ])
            try await installation.append([.erased(profileID: anna, at: start + .seconds(10))])
            try await installation.drain()
            #expect(try await installation.story(of: "tall") == ["entered event 0", "exited erasure 9000"])
            for record in try await installation.harness.published(.memberships) {
                #expect(!record.body.compact.contains("example.com"))
            }
            #expect(try await installation.owner.query("SELECT FROM segmentation.profile_state").isEmpty)
            #expect(try await installation.members("tall") == [])
        }
    }

    @Test("a fact that cannot be read is put aside, and the shard moves on")
    func poison() async throws {
        try await Installation.with { installation in
            try await installation.put("recent", ["count": ["event": "A"]])
            try await installation.append([Installation.track("A", at: start)], to: anna)
            try await installation.owner.execute(
                "UPDATE profiles.timeline SET body = '{\"kind\":\"strange\"}'")
            try await installation.append([Installation.track("A", at: start + .seconds(1))], to: anna)
            try await installation.drain()
            #expect(try await installation.members("recent") == [anna])
            #expect(
                try await installation.owner.query("SELECT FROM segmentation.stream_quarantine").count == 1)
        }
    }
}
