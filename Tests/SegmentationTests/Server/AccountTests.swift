import Models
import Postgres
import SegmentationDomain
import SegmentationServer
import ServiceKit
import TestSupport
import Testing

@Suite(
    "What one member tells of an account is so for all of them",
    .enabled(if: TestDatabase.isAvailable, Comment(rawValue: TestDatabase.howToEnable)))
struct AccountTests {
    private let start = Installation.start
    private let business: JSON = ["account": ["name": "plan", "equals": "business"]]
    private let anna = Installation.profile("anna")
    private let bert = Installation.profile("bert")
    private let cleo = Installation.profile("cleo")
    private let dora = Installation.profile("dora")

    private func call(
        _ id: String, _ after: Duration, _ traits: [String: JSON] = [:], group: String = "acme"
    ) -> TrackingEvent {
        TrackingEvent(
            messageID: id, kind: .group, groupID: group, timestamp: start + after, receivedAt: start + after,
            sourceID: Installation.source, traits: traits)
    }

    private func with(_ rule: JSON? = nil, _ body: (Installation) async throws -> Void) async throws {
        try await Installation.with { installation in
            try await installation.put("business", rule ?? business)
            installation.clock.advance(by: .days(30))
            try await body(installation)
        }
    }

    private func tell(_ call: TrackingEvent, by profile: ProfileID, _ installation: Installation) async throws
    {
        try await installation.append([call], to: profile)
        try await installation.drain()
        try await installation.tellAccounts()
    }

    @Test("everybody enters and leaves at the instant of the call, which is the evidence")
    func instants() async throws {
        try await with { installation in
            try await tell(call("b1", .zero), by: bert, installation)
            try await tell(call("c1", .zero, group: "other"), by: cleo, installation)
            try await tell(call("a1", .days(1), ["plan": "business"]), by: anna, installation)
            #expect(try await installation.members("business") == [anna, bert])
            try await tell(call("a2", .days(2), ["plan": "free"]), by: anna, installation)
            for profile in [anna, bert] {
                #expect(
                    try await installation.story(of: "business", profile) == [
                        "entered event 86400000", "exited event 172800000",
                    ])
            }
            #expect(try await installation.story(of: "business", cleo) == [])
            let entry = try #require(
                try await installation.changes(of: "business").first { $0.profileID == bert })
            #expect(entry.evidence[path: "cause.messageId"] == "a1")
            let cited = entry.evidence[path: "conditions.events"]?.array
            #expect(cited?.map { $0["messageId"] } == ["a1"])
            #expect(cited?.first?["shard"] == .integer(Int64(Shard(anna).number)))
            #expect(try await installation.owner.query("SELECT FROM segmentation.account_change").isEmpty)
        }
    }

    @Test(
        "who joins is what the account is, at the instant of joining; what is late changes nothing, and null takes away"
    )
    func joining() async throws {
        try await with { installation in
            try await tell(call("a1", .days(1), ["plan": "business"]), by: anna, installation)
            try await tell(call("b1", .days(3)), by: bert, installation)
            #expect(try await installation.story(of: "business", bert) == ["entered event 259200000"])
            try await tell(call("c1", .hours(1), ["plan": "free"]), by: cleo, installation)
            #expect(try await installation.members("business") == [anna, bert, cleo])
            // Their own word counted until somebody else's did.
            #expect(try await installation.story(of: "business", cleo) == ["entered event 86400000"])
            try await tell(call("c2", .days(4), ["plan": .null]), by: cleo, installation)
            #expect(try await installation.members("business") == [])
            #expect(
                try await installation.story(of: "business", bert) == [
                    "entered event 259200000", "exited event 345600000",
                ])
        }
    }

    @Test("a deadline goes by what has been told by then, also where members are yet to be told")
    func deadlines() async throws {
        let rule: JSON = [
            "all": [business, ["count": ["event": "View", "atLeast": 1, "within": "5d"]]]
        ]
        try await with(rule) { installation in
            installation.clock.set(start + .days(1))
            try await installation.append([Installation.track("View", at: start)], to: bert)
            try await tell(call("b1", .hours(1)), by: bert, installation)
            try await installation.append([call("a1", .days(1), ["plan": "business"])], to: anna)
            try await installation.drain()
            installation.clock.set(start + .days(6))
            // A state that is touched hears of it first.
            try await installation.append([Installation.track("Other", at: start + .days(2))], to: bert)
            try await installation.drain()
            #expect(try await installation.story(of: "business", bert) == ["entered event 86400000"])
            try await installation.sweep()
            try await installation.tellAccounts()
            #expect(
                try await installation.story(of: "business", bert) == [
                    "entered event 86400000", "exited time 432000000",
                ])
        }
    }

    @Test("an account comes with a merge, and goes with its undoing")
    func merges() async throws {
        try await with { installation in
            try await tell(call("a1", .zero, ["plan": "business"]), by: anna, installation)
            try await tell(call("b1", .zero), by: bert, installation)
            try await installation.append([Installation.track("View", at: start)], to: dora)
            try await installation.drain()
            try await installation.merge(bert, into: dora)
            try await installation.drain()
            #expect(try await installation.members("business") == [anna, dora])
            try await tell(call("a2", .days(1), ["plan": "free"]), by: anna, installation)
            #expect(try await installation.members("business") == [])
            try await tell(call("a3", .days(2), ["plan": "business"]), by: anna, installation)
            #expect(try await installation.members("business") == [anna, dora])
            try await installation.unmerge(bert, from: dora)
            try await installation.drain()
            #expect(try await installation.members("business") == [anna, bert])
            // In one batch with the call that it rests on.
            try await installation.append([call("c1", .days(3))], to: cleo)
            try await installation.merge(dora, into: cleo)
            try await installation.drain()
            #expect(try await installation.members("business") == [anna, bert, cleo])
        }
    }

    @Test("what somebody told of an account stays when they are erased, and they belong to none")
    func erasure() async throws {
        try await with { installation in
            try await tell(call("a1", .zero, ["plan": "business"]), by: anna, installation)
            try await tell(call("b1", .zero), by: bert, installation)
            try await installation.erase([anna])
            try await installation.drain()
            try await tell(call("c1", .days(1)), by: cleo, installation)
            #expect(try await installation.members("business") == [bert, cleo])
            let rows = try await installation.owner.query(
                "SELECT profile_id FROM segmentation.account_member ORDER BY profile_id")
            #expect(try rows.map { try $0.get("profile_id") } == [bert, cleo].sorted())
        }
    }

    @Test("a rule that is new is decided by what is known of accounts, and a preview says so before")
    func backfill() async throws {
        try await Installation.with { installation in
            installation.clock.advance(by: .days(30))
            try await tell(call("a1", .zero, ["plan": "business"]), by: anna, installation)
            try await tell(call("b1", .zero), by: bert, installation)
            let preview = try await installation.harness.request(
                "POST", "/v1/segments/preview", json: ["rule": business])
            #expect(preview.json[path: "members.estimate"] == 2, "\(preview.text)")
            try await installation.put("business", business)
            try await installation.backfill()
            #expect(try await installation.members("business") == [anna, bert])
        }
    }

    @Test(
        "many members are told some at a time, once more where something changes meanwhile, each change once")
    func many() async throws {
        try await with { installation in
            let people = (0..<450).map { Installation.profile("member \($0)") }
            for person in people { try await installation.append([call("j \(person)", .zero)], to: person) }
            try await installation.drain()
            try await installation.tellAccounts()
            try await installation.append([call("x", .days(1), ["plan": "business"])], to: people[0])
            try await installation.drain()
            let worker = try installation.worker(AccountWorker.self)
            for _ in 0..<2 { #expect(try await worker.step()) }
            #expect(try await installation.members("business").count == 201)
            try await installation.append([call("y", .days(2), ["plan": "free"])], to: people[0])
            try await installation.drain()
            try await installation.tellAccounts()
            #expect(try await installation.members("business") == [])
            // Those who were not told in time of the first hear of what stands alone.
            let changes = try await installation.changes(of: "business")
            #expect(changes.count == 402, "\(changes.count)")
        }
    }

    @Test("calls that were read before accounts were kept are read once more")
    func upgrade() async throws {
        try await with { installation in
            try await tell(call("a1", .zero, ["plan": "business"]), by: anna, installation)
            for table in ["account", "account_trait", "account_member"] {
                try await installation.owner.execute("DELETE FROM segmentation.\(unsafe: table)")
            }
            try await tell(call("b1", .zero, ["seats": 3]), by: bert, installation)
            #expect(try await installation.members("business") == [anna])
            try await installation.owner.execute(
                """
                INSERT INTO segmentation.account_reading (shard, position, until)
                SELECT shard, 0, "offset" FROM segmentation.stream_checkpoint WHERE stream = 'profile-events'
                """)
            try await installation.tellAccounts()
            #expect(try await installation.members("business") == [anna, bert])
        }
    }

    @Test("whoever joined while accounts were not read yet is told once they are")
    func upgradeOfOne() async throws {
        try await with { installation in
            try await tell(call("a1", .zero, ["plan": "business"]), by: anna, installation)
            try await tell(call("b1", .zero, ["seats": 3]), by: bert, installation)
            // As an older version left them: both have states, bert's without what anna said.
            try await installation.owner.execute(
                "DELETE FROM segmentation.account_change")
            for table in ["account", "account_trait", "account_member"] {
                try await installation.owner.execute("DELETE FROM segmentation.\(unsafe: table)")
            }
            try await tell(call("c1", .days(1)), by: cleo, installation)
            #expect(try await installation.members("business") == [anna, bert])
            try await installation.owner.execute(
                """
                INSERT INTO segmentation.account_reading (shard, position, until)
                SELECT shard, 0, "offset" FROM segmentation.stream_checkpoint WHERE stream = 'profile-events'
                """)
            try await installation.tellAccounts()
            #expect(try await installation.members("business") == [anna, bert, cleo])
        }
    }

    @Test("what is told meanwhile makes no fact late that is read with it")
    func inTurn() async throws {
        let rule: JSON = ["all": [business, ["count": ["event": "View", "atMost": 0]]]]
        try await with(rule) { installation in
            try await tell(call("b1", .zero), by: bert, installation)
            try await installation.append([call("a1", .days(2), ["plan": "business"])], to: anna)
            try await installation.drain()
            // Before the account became what it is, so nobody was ever in the segment by it.
            try await installation.append([Installation.track("View", at: start + .days(1))], to: bert)
            try await installation.drain()
            try await installation.tellAccounts()
            #expect(try await installation.story(of: "business", bert) == [])
        }
    }

    @Test(
        "nobody is told of what no rule asks for, and an account that changes all the time lets others go first"
    )
    func turns() async throws {
        try await with { installation in
            for group in ["acme", "other"] {
                for (name, profile) in [("x", anna), ("y", bert)] {
                    try await tell(call("\(name) \(group)", .zero, group: group), by: profile, installation)
                }
            }
            try await installation.append([call("s", .days(1), ["seats": 3])], to: anna)
            try await installation.drain()
            #expect(try await installation.owner.query("SELECT FROM segmentation.account_change").isEmpty)
            let worker = try installation.worker(AccountWorker.self)
            var told: Set<String> = []
            for group in ["acme", "other"] {
                try await installation.append(
                    [call("p \(group)", .days(2), ["plan": "business"], group: group)], to: anna)
            }
            try await installation.drain()
            for round in 0..<4 where told.count < 2 {
                _ = try await worker.step()
                let busy: String? = try await installation.owner.query(
                    "SELECT group_id FROM segmentation.account_change WHERE position IS NOT NULL"
                ).first?.get("group_id")
                let group = try #require(busy)
                told.insert(group)
                // It changes again while its members are told.
                let plan: JSON = round % 2 == 0 ? "free" : "business"
                try await installation.append(
                    [call("r\(round)", .days(3 + round), ["plan": plan], group: group)], to: anna)
                try await installation.drain()
                _ = try await worker.step()
            }
            #expect(told == ["acme", "other"])
        }
    }

    @Test("nothing is left of an account whose only member is erased, not even its name")
    func lastMember() async throws {
        try await with { installation in
            try await tell(
                call("a1", .zero, ["plan": "business"], group: "anna@planted.example"), by: anna, installation
            )
            try await tell(call("a2", .zero, ["plan": "business"]), by: anna, installation)
            try await tell(call("b1", .zero), by: bert, installation)
            try await installation.erase([anna])
            try await installation.drain()
            for table in ["account", "account_trait", "account_member", "account_change"] {
                let left = try await installation.owner.query(
                    "SELECT DISTINCT group_id FROM segmentation.\(unsafe: table)")
                #expect(
                    try !left.map { try $0.get("group_id", as: String.self) }.contains("anna@planted.example")
                )
            }
            #expect(
                try await installation.owner.query(
                    "SELECT FROM segmentation.account_trait WHERE group_id = 'acme'"
                ).count == 1)
        }
    }
}
