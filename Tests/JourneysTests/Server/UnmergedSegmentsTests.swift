import Foundation
import JourneysDomain
import Models
import Postgres
import TestSupport
import Testing

@Suite(
    "Passages that segments let begin, when a merge is undone",
    .enabled(if: TestDatabase.isAvailable, Comment(rawValue: TestDatabase.howToEnable)))
struct UnmergedSegmentsTests {
    private static let cart = """
        name: Abandoned cart
        status: active
        entry: {segment: cart-open, reentry: {after: 7d}}
        exits:
          - segmentExited: cart-open
        steps:
          - send: {template: reminder, purpose: marketing}
          - wait: {for: 23h}
          - send: {template: discount, purpose: marketing}
        """

    private func entered(_ profile: ProfileID, at: Instant, version: Int = 1) -> MembershipChange {
        MembershipChange(
            profileID: profile, segment: "cart-open", change: .entered, at: at, version: version,
            reason: .time,
            evidence: ["cause": ["kind": "time"]])
    }

    private func history(
        _ profile: ProfileID, _ merge: MergeID, since: Instant, version: Int = 1,
        _ changes: MembershipChange...
    ) -> MembershipFact {
        .unmerged(
            MembershipHistory(
                profileID: profile, mergeID: merge, since: since, versions: ["cart-open": version],
                changes: changes))
    }

    private func words(_ fixture: JourneysFixture) async throws -> [String] {
        try await fixture.told().compactMap { _, fact in
            if case .corrected(let correction) = fact {
                "\(correction.kind) \(correction.profileID)"
            } else {
                nil
            }
        }
    }

    private func ends(_ fixture: JourneysFixture) async throws -> Int {
        try await fixture.told().count { $0.fact.json["kind"] == "unmerged" }
    }

    /// His cart, for which she was reminded while the two were one.
    private func remindedPair(_ fixture: JourneysFixture) async throws -> (merged: Instant, entered: Instant)
    {
        _ = try await fixture.put(Self.cart)
        try await fixture.merge(fixture.bob, into: fixture.ada)
        let merged = fixture.clock.now
        try await fixture.pass(.minutes(10))
        try await fixture.change(
            "cart-open", .entered, of: fixture.ada, evidence: ["cause": ["kind": "time"]])
        try await fixture.pass(.minutes(10))
        #expect(try await fixture.intents().map(\.profileID) == [fixture.ada])
        return (merged, fixture.clock.now - .minutes(10))
    }

    @Test(
        "it is theirs whose entry it would have been, as soon as segmentation has told of both",
        arguments: [false, true])
    func owner(isToldFirst: Bool) async throws {
        try await JourneysFixture.with { fixture in
            let (merged, at) = try await remindedPair(fixture)
            let merge = MergeID(
                UUIDv7.derived(at: fixture.clock.now, from: "unmerge", fixture.bob.description))
            func tell() async throws {
                try await fixture.change("cart-open", .entered, of: fixture.bob, reason: .unmerge)
                try await fixture.tell(
                    history(fixture.bob, merge, since: merged, entered(fixture.bob, at: at)))
                try await fixture.change("cart-open", .exited, of: fixture.ada, reason: .unmerge)
                try await fixture.tell(history(fixture.ada, merge, since: merged))
                try await fixture.drain()
            }
            if isToldFirst { try await tell() }
            #expect(try await fixture.unmerge(fixture.bob, from: fixture.ada) == merge)
            try await fixture.drain()
            if !isToldFirst {
                // Delivery holds the message; nothing is said of it that may turn out wrong.
                #expect(try await fixture.told().count == 1)
                try await tell()
            }
            #expect(try await words(fixture) == ["restated \(fixture.bob)"])
            #expect(try await ends(fixture) == 2)
            #expect(try await fixture.count("unmerging_history") == 0)
            let running = try await fixture.instances(query: "?status=running")
            #expect(running.map { $0["profileId"]?.string } == [fixture.bob.description])
            try await fixture.pass(.hours(23))
            #expect(try await fixture.intents().map(\.profileID) == [fixture.ada, fixture.bob])
        }
    }

    @Test("what begins and ends while one of the two has still to be told of is nobody else's business")
    func meanwhile() async throws {
        try await JourneysFixture.with { fixture in
            let (merged, _) = try await remindedPair(fixture)
            let merge = try await fixture.unmerge(fixture.bob, from: fixture.ada)
            try await fixture.tell(history(fixture.bob, merge, since: merged))
            try await fixture.pass(.minutes(5))
            try await fixture.change("cart-open", .entered, of: fixture.bob)
            try await fixture.pass(.minutes(5))
            try await fixture.tell(history(fixture.ada, merge, since: merged))
            try await fixture.drain()
            let running = try await fixture.instances(query: "?status=running")
            #expect(running.map { $0["profileId"]?.string } == [fixture.bob.description])
            #expect(try await fixture.intents().map(\.profileID) == [fixture.ada, fixture.bob])
            #expect(try await words(fixture) == ["withdrawn \(fixture.ada)"])
            try await fixture.change("cart-open", .exited, of: fixture.bob)
            try await fixture.drain()
            let ended = try await fixture.instances(query: "?status=ended").filter {
                $0["profileId"]?.string == fixture.bob.description
            }
            #expect(ended.map { $0["endReason"] } == ["segment"])
        }
    }

    @Test("who leaves a segment while it is still open whose passage it is has left it")
    func leftMeanwhile() async throws {
        try await JourneysFixture.with { fixture in
            let (merged, at) = try await remindedPair(fixture)
            let merge = try await fixture.unmerge(fixture.bob, from: fixture.ada)
            try await fixture.tell(
                history(fixture.bob, merge, since: merged, entered(fixture.bob, at: at)))
            try await fixture.pass(.minutes(5))
            try await fixture.change("cart-open", .exited, of: fixture.bob)
            try await fixture.pass(.minutes(5))
            try await fixture.tell(history(fixture.ada, merge, since: merged))
            try await fixture.drain()
            let passages = try await fixture.instances()
            #expect(passages.map { $0["profileId"]?.string } == [fixture.bob.description])
            #expect(passages.map { $0["endReason"] } == ["segment"])
            #expect(try await words(fixture) == ["restated \(fixture.bob)"])
            try await fixture.pass(.hours(24))
            #expect(try await fixture.intents().count == 1)
        }
    }

    @Test("what nobody would have entered is no passage, and its messages are taken back")
    func neverEntered() async throws {
        try await JourneysFixture.with { fixture in
            let (merged, _) = try await remindedPair(fixture)
            let merge = try await fixture.unmerge(fixture.bob, from: fixture.ada)
            try await fixture.tell(history(fixture.ada, merge, since: merged))
            try await fixture.tell(history(fixture.bob, merge, since: merged))
            try await fixture.drain()
            #expect(try await words(fixture) == ["withdrawn \(fixture.ada)"])
            #expect(try await fixture.instances().map { $0["endReason"] } == ["unmerged"])
            try await fixture.pass(.days(2))
            #expect(try await fixture.intents().count == 1)
        }
    }

    @Test("an entry that the other's hid lets them in at its own time, and an exit that it hid ends theirs")
    func hidden() async throws {
        try await JourneysFixture.with { fixture in
            let (merged, at) = try await remindedPair(fixture)
            let merge = try await fixture.unmerge(fixture.bob, from: fixture.ada)
            let left = MembershipChange(
                profileID: fixture.ada, segment: "cart-open", change: .exited, at: at + .minutes(2),
                version: 1,
                reason: .event, evidence: [:])
            try await fixture.tell(
                history(fixture.ada, merge, since: merged, entered(fixture.ada, at: at), left))
            try await fixture.tell(
                history(fixture.bob, merge, since: merged, entered(fixture.bob, at: at + .minutes(5))))
            try await fixture.drain()
            #expect(try await words(fixture).isEmpty)
            let (running, ended) = (
                try await fixture.instances(query: "?status=running"),
                try await fixture.instances(query: "?status=ended")
            )
            #expect(running.map { $0["profileId"]?.string } == [fixture.bob.description])
            #expect(running.map { $0["enteredAt"]?.string } == [(at + .minutes(5)).rfc3339])
            #expect(ended.map { $0["profileId"]?.string } == [fixture.ada.description])
            #expect(ended.map { $0["endReason"] } == ["segment"])
            try await fixture.pass(.days(1))
            #expect(try await fixture.intents().map(\.template) == ["reminder", "discount"])
            #expect(try await fixture.intents().last?.profileID == fixture.bob)
        }
    }

    @Test("by a rule that was changed since, and before the two were merged, what happened stands")
    func undecidable() async throws {
        try await JourneysFixture.with { fixture in
            let (merged, at) = try await remindedPair(fixture)
            let merge = try await fixture.unmerge(fixture.bob, from: fixture.ada)
            try await fixture.tell(history(fixture.ada, merge, since: merged, version: 2))
            try await fixture.tell(
                history(
                    fixture.bob, merge, since: merged, version: 2, entered(fixture.bob, at: at, version: 2)))
            try await fixture.drain()
            #expect(try await words(fixture).isEmpty)
            #expect(try await ends(fixture) == 2)
            let running = try await fixture.instances(query: "?status=running")
            #expect(running.contains { $0["profileId"]?.string == fixture.ada.description })
        }
    }

    @Test("a message whose timer was due and had not been fired is asked for all the same")
    func unfired() async throws {
        try await JourneysFixture.with { fixture in
            _ = try await fixture.put(TestJourney.abandonedCart)
            try await fixture.happen(fixture.event("Product Added", "m1", of: fixture.bob))
            try await fixture.merge(fixture.bob, into: fixture.ada)
            try await fixture.drain()
            // The service was away.
            fixture.clock.advance(by: .hours(2))
            try await fixture.unmerge(fixture.bob, from: fixture.ada)
            try await fixture.drain()
            let intents = try await fixture.intents()
            #expect(intents.map(\.profileID) == [fixture.bob])
            #expect(intents.first?.at == JourneysFixture.start + .hours(1))
            try await fixture.sweep()
            #expect(try await fixture.intents().count == 1)
        }
    }

    @Test("for random facts, passages and messages are what they would be had the two never been one")
    func likeNeverMerged() async throws {
        let seed = TestSeed.value
        print("seed \(seed)")
        for number in 0..<UInt64(2) {
            var outcomes: [SegmentedRun.Outcome] = []
            for merges in [true, false] {
                try await JourneysFixture.with { fixture in
                    var run = SegmentedRun(
                        fixture: fixture, random: TestSeed(seed &+ number), merges: merges)
                    outcomes.append(try await run.outcome())
                }
            }
            let text = "seed \(seed &+ number)"
            let (merged, apart) = (outcomes[0], outcomes[1])
            #expect(merged.standing == apart.standing, "\(text)")
            #expect(Set(merged.sends).count == merged.sends.count, "\(text)")
            var missing = Set(apart.sends).subtracting(merged.sends)
            // What the other has put off is asked for already, while they were one: it is the same message, only later.
            for send in Set(merged.sends).subtracting(apart.sends).sorted() {
                #expect(merged.asOne.contains(send.at), "\(text): \(send)")
                let earlier = missing.filter { $0.what == send.what && $0.at < send.at }.min { $0.at < $1.at }
                #expect(missing.remove(try #require(earlier, "\(text): \(send)")) != nil)
            }
            // Only what nobody asked for while they were one is not made up for.
            for send in missing { #expect(merged.asOne.contains(send.at), "\(text): \(send)") }
        }
    }
}
