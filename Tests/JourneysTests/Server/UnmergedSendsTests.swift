import Foundation
import JourneysDomain
import Models
import Postgres
import ServiceKit
import TestSupport
import Testing

@Suite(
    "Messages that are still to be sent when a merge is undone",
    .enabled(if: TestDatabase.isAvailable, Comment(rawValue: TestDatabase.howToEnable)))
struct UnmergedSendsTests {
    private func words(_ corrections: [IntentCorrection]) -> [String] {
        corrections.map { "\($0.kind) \($0.profileID)" }
    }

    @Test("the message of the other's passage is theirs, and each shard hears when all is said")
    func restated() async throws {
        try await JourneysFixture.with { fixture in
            _ = try await fixture.put(TestJourney.abandonedCart)
            try await fixture.happen(fixture.event("Product Added", "m1", of: fixture.bob))
            try await fixture.merge(fixture.bob, into: fixture.ada)
            try await fixture.pass(.hours(1))
            let intent = try #require(try await fixture.intents().first)
            #expect(intent.profileID == fixture.ada)
            let merge = try await fixture.unmerge(fixture.bob, from: fixture.ada)
            try await fixture.drain()
            let told = try await fixture.told()
            #expect(
                try await fixture.corrections() == [
                    IntentCorrection(
                        .restated, intent.intentID, of: fixture.bob, at: intent.at, mergeID: merge)
                ])
            let ends = told.filter { if case .unmerged(merge, _) = $0.fact { true } else { false } }
            #expect(Set(ends.map(\.key)) == [fixture.ada.description, fixture.bob.description])
            // What is said of an intent is where it was told, before the end of what is said.
            #expect(
                told.filter { $0.key == fixture.ada.description }.map { $0.fact.json["kind"] } == [
                    nil, "restated", "unmerged",
                ])
            // The next one is his from the beginning.
            try await fixture.pass(.hours(23))
            #expect(try await fixture.intents().map(\.profileID) == [fixture.ada, fixture.bob])
        }
    }

    @Test("what was asked for too early is taken back, and asked for under the same intent at its own time")
    func renewed() async throws {
        try await JourneysFixture.with { fixture in
            let journey = """
                name: Welcome
                status: active
                entry: {event: Signed Up}
                steps:
                  - wait: {untilEvent: Product Added, timeout: 2h}
                  - send: {template: welcome, purpose: marketing}
                """
            _ = try await fixture.put(journey)
            try await fixture.happen(fixture.event("Signed Up", "m1", of: fixture.bob))
            try await fixture.merge(fixture.bob, into: fixture.ada)
            try await fixture.pass(.minutes(5))
            try await fixture.happen(fixture.event("Product Added", "m2", of: fixture.ada))
            try await fixture.drain()
            let intent = try #require(try await fixture.intents().first)
            try await fixture.unmerge(fixture.bob, from: fixture.ada)
            try await fixture.pass(.minutes(10))
            #expect(words(try await fixture.corrections()) == ["withdrawn \(fixture.bob)"])
            try await fixture.pass(.hours(2))
            let corrections = try await fixture.corrections()
            #expect(words(corrections) == ["withdrawn \(fixture.bob)", "renewed \(fixture.bob)"])
            #expect(Set(corrections.map(\.intentID)) == [intent.intentID])
            #expect(corrections.last?.at == JourneysFixture.start + .hours(2))
            #expect(corrections.first?.mergeID == corrections.last?.mergeID)
            #expect(try await fixture.intents().count == 1)
            let history = try await fixture.history(query: "?kind=sent").map { $0[path: "detail.unless"] }
            #expect(history == ["sentBefore", nil])
        }
    }

    @Test("what a passage asked for that only the merge let begin is taken back, and no word is said twice")
    func withdrawn() async throws {
        try await JourneysFixture.with { fixture in
            let journey = """
                name: Cart
                status: active
                entry: {event: Product Added, reentry: always}
                exits:
                  - event: Order Completed
                steps:
                  - wait: {for: 1h}
                  - send: {template: reminder, purpose: marketing}
                """
            _ = try await fixture.put(journey)
            try await fixture.happen(fixture.event("Product Added", "m1", of: fixture.ada))
            try await fixture.merge(fixture.bob, into: fixture.ada)
            try await fixture.pass(.minutes(5))
            // His order ends her first passage, so that her next one begins.
            try await fixture.happen(
                fixture.event("Order Completed", "m2", of: fixture.ada, under: fixture.bob))
            try await fixture.pass(.minutes(5))
            try await fixture.happen(fixture.event("Product Added", "m3", of: fixture.ada))
            try await fixture.pass(.minutes(61))
            #expect(try await fixture.templates() == ["reminder"])
            try await fixture.unmerge(fixture.bob, from: fixture.ada)
            try await fixture.drain()
            #expect(words(try await fixture.corrections()) == ["withdrawn \(fixture.ada)"])
            try await fixture.merge(fixture.bob, into: fixture.ada)
            try await fixture.drain()
            try await fixture.unmerge(fixture.bob, from: fixture.ada)
            try await fixture.pass(.days(4))
            #expect(try await fixture.corrections().count == 1)
        }
    }

    @Test("of two who are one again by the time that it is read, the message is whose they are now")
    func oneAgain() async throws {
        try await JourneysFixture.with { fixture in
            _ = try await fixture.put(TestJourney.abandonedCart)
            try await fixture.happen(fixture.event("Product Added", "m1", of: fixture.bob))
            try await fixture.merge(fixture.bob, into: fixture.ada)
            try await fixture.pass(.hours(1))
            let (_, parting) = try await fixture.part(fixture.bob, from: fixture.ada)
            // He survives this time, which is told in his shard and may be read first.
            try await fixture.merge(fixture.ada, into: fixture.bob)
            try await fixture.drain()
            try await fixture.happen(parting, at: fixture.clock.now)
            try await fixture.pass(.hours(23))
            #expect(words(try await fixture.corrections()) == ["restated \(fixture.bob)"])
            let kinds = try await fixture.told().map { $0.fact.json["kind"] }
            #expect(kinds.count { $0 == "unmerged" } == 2)
            #expect(try await fixture.instances(query: "?status=running").count == 1)
            #expect(try await fixture.intents().count == 2)
        }
    }

    @Test("while a journey stands still its messages stay, and are set right by whose they are alone")
    func paused() async throws {
        try await JourneysFixture.with { fixture in
            _ = try await fixture.put(TestJourney.abandonedCart)
            try await fixture.happen(fixture.event("Product Added", "m1", of: fixture.bob))
            try await fixture.merge(fixture.bob, into: fixture.ada)
            try await fixture.pass(.hours(1))
            let paused = TestJourney.abandonedCart.replacingOccurrences(of: "active", with: "paused")
            #expect(try await fixture.put(paused, headers: ["If-Match": "*"]).status == 200)
            try await fixture.unmerge(fixture.bob, from: fixture.ada)
            try await fixture.drain()
            #expect(words(try await fixture.corrections()) == ["restated \(fixture.bob)"])
        }
    }

    @Test("an erasure empties what was told of one's messages under the other's key, and leaves the other's")
    func erasure() async throws {
        try await JourneysFixture.with { fixture in
            _ = try await fixture.put(TestJourney.abandonedCart)
            try await fixture.happen(fixture.event("Product Added", "m1", of: fixture.bob, ["name": "Mug"]))
            try await fixture.merge(fixture.bob, into: fixture.ada)
            try await fixture.pass(.minutes(1))
            try await fixture.pass(.hours(1))
            try await fixture.unmerge(fixture.bob, from: fixture.ada)
            try await fixture.drain()
            try await fixture.happen(.erased(profileID: fixture.ada, at: fixture.clock.now))
            try await fixture.drain()
            #expect(try await fixture.intents().map(\.variables.isEmpty) == [false])
            try await fixture.happen(.erased(profileID: fixture.bob, at: fixture.clock.now))
            try await fixture.drain()
            #expect(try await fixture.intents().map(\.variables.isEmpty) == [true])
            #expect(try await fixture.corrections().count == 1)
        }
    }

    @Test("for random facts, what is still to be sent is what it would be had the two never been one")
    func likeNeverMerged() async throws {
        let seed = TestSeed.value
        print("seed \(seed)")
        for number in 0..<UInt64(2) {
            var sends: [[String]] = []
            var merged = JourneysFixture.start...JourneysFixture.start
            for merges in [true, false] {
                try await JourneysFixture.with { fixture in
                    var run = PairRun(fixture: fixture, random: TestSeed(seed &+ number), merges: merges)
                    let pending = try await run.pending()
                    sends.append(pending.sends)
                    merged = pending.merged
                }
            }
            let text = "seed \(seed &+ number)"
            #expect(Set(sends[0]).count == sends[0].count, "\(text)")
            #expect(Set(sends[0]).subtracting(sends[1]) == [], "\(text)")
            // Only what nobody asked for while they were one is not made up for.
            let missing = Set(sends[1]).subtracting(sends[0]).sorted()
            for send in missing {
                let at = try #require(Instant(rfc3339: String(send.prefix { $0 != " " })))
                #expect(merged.contains(at), "\(text): \(send)")
            }
        }
    }
}
