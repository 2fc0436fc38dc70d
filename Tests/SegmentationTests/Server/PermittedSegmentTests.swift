import Models
import Postgres
import SegmentationServer
import TestSupport
import Testing

@Suite(
    "What the consent policy asks for segments",
    .enabled(if: TestDatabase.isAvailable, Comment(rawValue: TestDatabase.howToEnable)))
struct PermittedSegmentTests {
    private let start = Installation.start
    private let viewed: JSON = #"did "View" at least 1 time"#
    private let anna = Installation.profile("anna")
    private let bert = Installation.profile("bert")
    private let carl = Installation.profile("carl")

    /// A purpose `profiling` that `segments` need.
    private func policy(_ segments: JSON, _ purpose: [String: JSON] = [:]) -> JSON {
        let profiling: [String: JSON] = [
            "name": "Profiling", "legalBasis": "consent", "text": ["version": "1"],
        ]
        return [
            "purposes": ["profiling": .object(profiling.merging(purpose) { $1 })],
            "requires": ["segments": segments],
        ]
    }

    @Test("what was decided before any rule asked counts from the first event on: a grant, and an objection")
    func decidedBefore() async throws {
        for (state, isMember, basis): (ConsentChange.State, Bool, JSON) in [
            (.granted, true, "consent"), (.withdrawn, false, "consent"),
            (.withdrawn, false, "legitimateInterest"),
        ] {
            try await Installation.with { installation in
                try await installation.put("lookers", viewed)
                try await installation.decide(state, "profiling", by: anna, at: start - .days(1))
                try await installation.drainConsents()
                try await installation.putPolicy(
                    policy(["lookers": ["profiling"]], ["legalBasis": basis]))
                try await installation.worker(PolicyFollower.self).step()
                try await installation.backfill()
                try await everybodyViews(installation)
                try await installation.drain()
                let members = try await installation.members("lookers")
                #expect(members.contains(anna) == isMember, "\(state) \(basis)")
                #expect(members.contains(bert) == (basis == "legitimateInterest"))
                if isMember {
                    #expect(try await installation.story(of: "lookers", anna) == ["entered event 0"])
                }
            }
        }
    }

    private func everybodyViews(_ installation: Installation) async throws {
        for person in [anna, bert, carl] {
            try await installation.append([Installation.track("View", at: start)], to: person)
        }
    }

    @Test("a segment that needs profiling has those alone who permit it, and changes with what they decide")
    func decisions() async throws {
        try await Installation.with { installation in
            try await installation.putPolicy(policy(["lookers": ["profiling"]], ["lasts": "P2D"]))
            let answer = try await installation.put("lookers", viewed)
            #expect(answer.json["requires"] == ["profiling"])
            #expect(answer.json["text"]?.string?.contains("permi") == false)
            try await installation.put("all-lookers", viewed)
            try await everybodyViews(installation)
            try await installation.drain()
            #expect(try await installation.members("lookers") == [])
            #expect(try await installation.members("all-lookers") == [anna, bert, carl])

            installation.clock.advance(by: .hours(3))
            try await installation.decide(.granted, "profiling", by: anna, at: start + .hours(1))
            try await installation.decide(.granted, "profiling", by: bert, at: start + .hours(1))
            try await installation.decide(.withdrawn, "profiling", by: bert, at: start + .hours(2))
            try await installation.drainConsents()
            #expect(try await installation.members("lookers") == [anna])
            #expect(
                try await installation.story(of: "lookers", bert) == [
                    "entered event 3600000", "exited event 7200000",
                ])
            let evidence = try #require(
                try await installation.changes(of: "lookers").last { $0.profileID == bert }
            ).evidence
            #expect(evidence[path: "cause.kind"] == "consent")
            let why = try await installation.harness.request(
                "GET", "/v1/segments/lookers/members/\(bert)/why")
            let text = try #require(why.json[path: "whyNot.text"]?.string)
            #expect(
                text.contains("the policy requires consent to it, which was withdrawn at "), "\(text)")

            // A grant lasts two days, and not a millisecond longer.
            installation.clock.advance(by: .days(3))
            try await installation.sweep()
            #expect(
                try await installation.story(of: "lookers", anna) == [
                    "entered event 3600000", "exited time \(3_600_000 + 2 * 86_400_000)",
                ])
        }
    }

    @Test(
        "another policy makes next rules, which come into force together once everybody is decided by them, with differences alone"
    )
    func policyChanges() async throws {
        try await Installation.with { installation in
            let follower = try installation.worker(PolicyFollower.self)
            try await installation.put("lookers", viewed)
            try await installation.put("others", "in segment lookers")
            try await everybodyViews(installation)
            try await installation.decide(.granted, "profiling", by: anna, at: start)
            try await installation.decide(.withdrawn, "profiling", by: carl, at: start)
            try await installation.drain()
            try await installation.drainConsents()
            try await follower.step()

            try await installation.putPolicy(policy(["*": ["profiling"]]))
            installation.clock.advance(by: .minutes(1))
            #expect(try await follower.step())
            #expect(try await !follower.step(), "once is enough")
            let waiting = try await installation.harness.request("GET", "/v1/segments/lookers")
            #expect(waiting.json["requires"] == [])
            #expect(waiting.json[path: "next.requires"] == ["profiling"])
            #expect(waiting.json[path: "next.rule"] == waiting.json["rule"])
            #expect(try await installation.members("lookers") == [anna, bert, carl])
            try await installation.backfill()
            #expect(try await installation.members("lookers") == [anna])
            #expect(try await installation.members("others") == [anna])
            #expect(
                try await installation.story(of: "lookers", bert) == [
                    "entered event 0", "exited definition 60000",
                ])
            #expect(try await installation.story(of: "lookers", anna) == ["entered event 0"])
            let live = try await installation.harness.request("GET", "/v1/segments/lookers")
            #expect(live.json["requires"] == ["profiling"])
            #expect(live.json["next"] == .null)

            // The same rule written again changes nothing; a legitimate interest stands until somebody objects.
            try await installation.put("lookers", viewed)
            try await installation.putPolicy(
                policy(["lookers": ["profiling"]], ["legalBasis": "legitimateInterest"]))
            installation.clock.advance(by: .minutes(1))
            #expect(try await follower.step())
            try await installation.backfill()
            #expect(try await installation.members("lookers") == [anna, bert])
            #expect(try await installation.members("others") == [anna, bert])
        }
    }

    @Test("a preview counts those alone who permit it, where the purpose may be pursued")
    func previewsAndPlaces() async throws {
        try await Installation.with { installation in
            try await installation.putPolicy(policy(["near": ["profiling"]], ["jurisdictions": ["EU"]]))
            try await everybodyViews(installation)
            for (person, country) in [(anna, "DE"), (bert, "US")] {
                try await installation.append(
                    [
                        TrackingEvent(
                            messageID: "country of \(country)", kind: .identify, timestamp: start,
                            receivedAt: start, sourceID: Installation.source,
                            traits: ["country": .string(country)])
                    ], to: person)
            }
            for person in [anna, bert, carl] {
                try await installation.decide(.granted, "profiling", by: person, at: start)
            }
            try await installation.drain()
            try await installation.drainConsents()
            let body: JSON = ["rule": viewed]
            let near = try await installation.harness.request(
                "POST", "/v1/segments/preview?segment=near", json: body)
            #expect(near.json["requires"] == ["profiling"])
            #expect(near.json["sample"] == [.string(anna.description)])
            let anywhere = try await installation.harness.request(
                "POST", "/v1/segments/preview", json: body)
            #expect(anywhere.json[path: "members.estimate"] == 3)
            try await installation.put("near", viewed)
            try await installation.backfill()
            #expect(try await installation.members("near") == [anna])
            let why = try await installation.harness.request("GET", "/v1/segments/near/members/\(carl)/why")
            #expect(why.json[path: "whyNot.text"]?.string?.contains("where they are is not known") == true)
        }
    }

    @Test(
        "who is restricted is in no list, export, snapshot and sample of a preview, also by a profile merged into theirs; and is again once that is lifted"
    )
    func restriction() async throws {
        try await Installation.with { installation in
            try await installation.put("lookers", viewed)
            try await everybodyViews(installation)
            try await installation.merge(carl, into: bert)
            try await installation.drain()
            func listed() async throws -> Set<String> {
                let list = try await installation.harness.request("GET", "/v1/segments/lookers/members")
                let ids = (list.json["items"]?.array ?? []).compactMap { $0["profileId"]?.string }
                let export = try await installation.harness.request("GET", "/v1/segments/lookers/export")
                #expect(ids.allSatisfy { export.text.contains($0) })
                #expect(export.text.split(separator: "\r\n").count == ids.count + 1)
                let preview = try await installation.harness.request(
                    "POST", "/v1/segments/preview", json: ["rule": viewed])
                #expect(Set((preview.json["sample"]?.array ?? []).compactMap(\.string)) == Set(ids))
                return Set(ids)
            }
            #expect(try await listed() == [anna.description, bert.description])
            try await installation.owner.execute(
                """
                INSERT INTO profiles.restriction (shard, profile_id, request_id, restricted_at)
                VALUES (\(Shard(carl)), \(carl), \(UUIDv7.make(at: start)), \(start))
                """)
            #expect(try await listed() == [anna.description])
            let snapshot = try await installation.harness.request(
                "POST", "/v1/segments/lookers/snapshot", json: [:])
            #expect(snapshot.json["members"] == 1, "\(snapshot.text)")
            try await installation.owner.execute("DELETE FROM profiles.restriction")
            #expect(try await listed() == [anna.description, bert.description])
        }
    }

    @Test("nobody writes a rule that says itself what is permitted")
    func written() async throws {
        try await Installation.with { installation in
            let need: JSON = ["purpose": "profiling", "basis": "contract"]
            for rule: JSON in [
                ["permitted": ["rule": ["consent": ["purpose": "a", "is": "granted"]], "needs": [need]]],
                ["permission": need],
            ] {
                let answer = try await installation.harness.request(
                    "PUT", "/v1/segments/own", json: ["rule": rule])
                #expect(answer.status == 400)
            }
        }
    }
}
