import Models
import Postgres
import SegmentationDomain
import ServiceKit
import TestSupport
import Testing

@testable import SegmentationServer

@Suite(
    "A state that does not read keeps nobody else waiting",
    .enabled(if: TestDatabase.isAvailable, Comment(rawValue: TestDatabase.howToEnable)))
struct UnreadableStateTests {
    private let start = Installation.start

    private func spoil(_ people: [ProfileID], in installation: Installation) async throws {
        try await installation.owner.execute(
            "CREATE TABLE IF NOT EXISTS public.kept (profile_id uuid, state text)")
        for profile in people {
            let row: SQL = "shard = \(Shard(profile)) AND profile_id = \(profile)"
            try await installation.owner.execute(
                "INSERT INTO public.kept SELECT profile_id, state FROM segmentation.profile_state WHERE \(row)"
            )
            try await installation.owner.execute(
                "UPDATE segmentation.profile_state SET state = 'no state' WHERE \(row)")
        }
    }

    private func mend(_ installation: Installation) async throws {
        try await installation.owner.execute(
            """
            UPDATE segmentation.profile_state s SET state = k.state FROM public.kept k
            WHERE k.profile_id = s.profile_id
            """)
    }

    /// Two people of one shard, and one of another.
    private func people() -> (twins: [ProfileID], other: ProfileID) {
        let first = Installation.profile("person 0")
        let others = (1..<10_000).lazy.map { Installation.profile("person \($0)") }
        let twin = others.first { Shard($0) == Shard(first) } ?? first
        let other = others.first { Shard($0) != Shard(first) } ?? first
        return ([first, twin], other)
    }

    private func view(_ installation: Installation, by people: [ProfileID]) async throws {
        for person in people {
            try await installation.append(
                [Installation.track("View", at: start, id: "view \(person)")], to: person)
        }
        try await installation.drain()
    }

    @Test("a changed rule comes into force without those of a chunk in which nobody's state reads")
    func wholeChunk() async throws {
        try await Installation.with { installation in
            let (twins, other) = people()
            try await installation.put("seen", ["count": ["event": "View"]])
            try await view(installation, by: twins + [other])
            try await spoil(twins, in: installation)
            try await installation.put("seen", ["count": ["event": "View", "within": "30d"]])
            try await installation.backfill()
            let seen = try await installation.harness.request("GET", "/v1/segments/seen").json
            #expect(seen["version"] == 2 && seen["next"] == .null, "\(seen.compact)")
            try await mend(installation)
            installation.clock.advance(by: .minutes(2))
            try await installation.backfill()
            installation.clock.set(start + .days(31))
            try await installation.sweep()
            #expect(try await installation.members("seen").isEmpty)
        }
    }

    @Test("where nobody's reads at all a changed rule waits, as that is hardly the fault of each")
    func everybody() async throws {
        try await Installation.with { installation in
            let (twins, _) = people()
            try await installation.put("seen", ["count": ["event": "View"]])
            try await view(installation, by: twins)
            try await spoil(twins, in: installation)
            try await installation.put("seen", ["count": ["event": "View", "within": "30d"]])
            await #expect(throws: (any Error).self) { try await installation.backfill() }
            try await mend(installation)
            try await installation.backfill()
            let seen = try await installation.harness.request("GET", "/v1/segments/seen").json
            #expect(seen["version"] == 2, "\(seen.compact)")
        }
    }

    @Test("percentiles of a score and previews leave it out, and say so")
    func leftOut() async throws {
        try await Installation.with { installation in
            let (twins, other) = people()
            try await installation.putScore("warmth", ["events": [["event": "View", "weight": 5]]])
            try await view(installation, by: twins + [other])
            try await spoil([twins[0]], in: installation)
            let harness = installation.harness
            let made = try await harness.request(
                "POST", "/v1/percentile-models", json: ["model": "warm", "measure": ["score": "warmth"]])
            #expect(try await installation.worker(PopulationModelLearner.self).step())
            let id = try #require(made.json["modelId"]?.string)
            let model = try await harness.request("GET", "/v1/percentile-models/\(id)").json
            #expect(model["status"] == "done" && model["leftOut"] == 1, "\(model.compact)")
            #expect(model["examined"] == 3 && model[path: "edition.people"] == 2)
            let preview = try await harness.request(
                "POST", "/v1/segments/preview", json: ["rule": #"did "View""#])
            #expect(preview.status == 200 && preview.json["leftOut"] == 1, "\(preview.text)")
            #expect(preview.json["examined"] == 2 && preview.json["exact"] == false)
        }
    }

    @Test("the other members of an account are told; the one is when their state reads")
    func accounts() async throws {
        try await Installation.with { installation in
            let (twins, other) = people()
            try await installation.put("business", ["account": ["name": "plan", "equals": "business"]])
            func call(_ id: String, _ traits: [String: JSON]) -> TrackingEvent {
                TrackingEvent(
                    messageID: id, kind: .group, groupID: "acme", timestamp: start, receivedAt: start,
                    sourceID: Installation.source, traits: traits)
            }
            for (number, member) in twins.enumerated() {
                try await installation.append([call("joins \(number)", [:])], to: member)
            }
            try await installation.drain()
            try await installation.tellAccounts()
            try await spoil([twins[0]], in: installation)
            try await installation.append([call("tells", ["plan": "business"])], to: other)
            try await installation.drain()
            try await installation.tellAccounts()
            #expect(try await installation.members("business") == [twins[1], other])
            try await mend(installation)
            try await installation.tellAccounts()
            #expect(
                try await installation.members("business") == [twins[1], other], "not before a minute is over"
            )
            try await installation.owner.execute(
                "UPDATE segmentation.account_change SET since = since - interval '60 seconds'")
            try await installation.tellAccounts()
            #expect(try await installation.members("business") == [twins[0], twins[1], other])
            #expect(try await installation.owner.query("SELECT FROM segmentation.account_change").isEmpty)
        }
    }

    @Test("people are compared by one version of a score, and anew where it changes meanwhile")
    func versions() throws {
        var population = try Population(.percentile, RuleField(["score": "warmth"]))
        let first = population.isOf(version: 2)
        population.add([1, 2], of: 3, leftOut: 1)
        let (same, other) = (population.isOf(version: 2), population.isOf(version: 3))
        #expect(first && same && !other)
        var anew = population.anew
        #expect(anew.examined == 0 && anew.leftOut == 0)
        let (newer, none) = (anew.isOf(version: 3), anew.isOf(version: nil))
        #expect(newer && !none)
    }
}
