import Foundation
import JourneysDomain
import Models
import Postgres
import TestSupport
import Testing

@Suite(
    "A merge that is undone leaves no trace in journeys",
    .enabled(if: TestDatabase.isAvailable, Comment(rawValue: TestDatabase.howToEnable)))
struct UnmergeTests {
    @Test(
        "the journey that the merge ended goes on at its own time, and the order of one ends only their own")
    func undo() async throws {
        try await JourneysFixture.with { fixture in
            _ = try await fixture.put(TestJourney.abandonedCart)
            try await fixture.happen(fixture.event("Product Added", "m1", of: fixture.bob))
            try await fixture.pass(.minutes(10))
            try await fixture.happen(fixture.event("Product Added", "m2", of: fixture.ada))
            try await fixture.pass(.minutes(10))
            try await fixture.merge(fixture.bob, into: fixture.ada)
            try await fixture.happen(
                fixture.event("Order Completed", "m3", of: fixture.ada, under: fixture.ada))
            try await fixture.drain()
            #expect(try await fixture.instances(query: "?status=running").isEmpty)
            try await fixture.unmerge(fixture.bob, from: fixture.ada)
            try await fixture.drain()
            let running = try await fixture.instances(query: "?status=running")
            #expect(running.map { $0["profileId"]?.string } == [fixture.bob.description])
            let history = try await fixture.harness.request(
                "GET", "/v1/instances/\(running.first?["id"]?.string ?? "")"
            ).json["history"]?.array
            #expect(history?.first?["kind"] == "entered")
            #expect(history?.last?["kind"] == "restated")
            #expect(history?.last?[path: "cause.kind"] == "unmerge")
            // The hour since bob's cart was filled.
            try await fixture.pass(.minutes(39))
            #expect(try await fixture.intents().isEmpty)
            try await fixture.pass(.minutes(1))
            #expect(try await fixture.intents().map(\.profileID) == [fixture.bob])
            let ended = try await fixture.instances(query: "?status=ended")
            #expect(ended.map { $0["profileId"]?.string } == [fixture.ada.description])
            #expect(ended.map { $0["endReason"] } == ["event"])
        }
    }

    @Test("what was sent is not sent again, and what the other should have got before is not made up for")
    func sentOnce() async throws {
        try await JourneysFixture.with { fixture in
            _ = try await fixture.put(TestJourney.abandonedCart)
            try await fixture.happen(fixture.event("Product Added", "m1", of: fixture.ada))
            try await fixture.merge(fixture.bob, into: fixture.ada)
            try await fixture.pass(.minutes(5))
            // In the journey already, so this one is refused.
            try await fixture.happen(
                fixture.event("Product Added", "m2", of: fixture.ada, under: fixture.bob))
            try await fixture.pass(.hours(2))
            #expect(try await fixture.templates() == ["abandoned-cart-reminder"])
            try await fixture.unmerge(fixture.bob, from: fixture.ada)
            try await fixture.drain()
            #expect(try await fixture.intents().count == 1)
            #expect(try await fixture.instances(query: "?status=running").count == 2)
            try await fixture.pass(.hours(23))
            let intents = try await fixture.intents()
            #expect(
                intents.map(\.template).sorted() == [
                    "abandoned-cart-discount", "abandoned-cart-discount", "abandoned-cart-reminder",
                ])
            #expect(Set(intents.suffix(2).map(\.profileID)) == [fixture.ada, fixture.bob])
        }
    }

    @Test("what the other's event brought about too early is not sent a second time when its own time comes")
    func sentEarly() async throws {
        try await JourneysFixture.with { fixture in
            let journey = """
                name: Welcome
                status: active
                entry: {event: Signed Up}
                steps:
                  - wait: {untilEvent: Product Added, timeout: 2h}
                  - send: {template: welcome, purpose: marketing}
                  - wait: {for: 3h}
                  - send: {template: second, purpose: marketing}
                """
            _ = try await fixture.put(journey)
            try await fixture.happen(fixture.event("Signed Up", "m1", of: fixture.bob))
            try await fixture.merge(fixture.bob, into: fixture.ada)
            try await fixture.pass(.minutes(5))
            try await fixture.happen(fixture.event("Product Added", "m2", of: fixture.ada))
            try await fixture.pass(.minutes(5))
            #expect(try await fixture.templates() == ["welcome"])
            try await fixture.unmerge(fixture.bob, from: fixture.ada)
            try await fixture.pass(.hours(2))
            #expect(try await fixture.templates() == ["welcome"])
            try await fixture.pass(.hours(3))
            let intents = try await fixture.intents()
            #expect(intents.map(\.template) == ["welcome", "second"])
            #expect(intents.last?.profileID == fixture.bob)
        }
    }

    @Test("merged and undone is the same as never merged, for random facts")
    func likeNeverMerged() async throws {
        let seed = TestSeed.value
        print("seed \(seed)")
        for number in 0..<UInt64(4) {
            var outcomes: [[String]] = []
            for merges in [true, false] {
                try await JourneysFixture.with { fixture in
                    var run = PairRun(fixture: fixture, random: TestSeed(seed &+ number), merges: merges)
                    outcomes.append(try await run.outcome())
                }
            }
            #expect(outcomes[0] == outcomes[1], "seed \(seed &+ number)")
        }
    }
}
