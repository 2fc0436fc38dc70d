import Foundation
import JourneysDomain
import Models
import Postgres
import TestSupport
import Testing

@Suite(
    "In whatever order the shards are read, journeys know who is one person",
    .enabled(if: TestDatabase.isAvailable, Comment(rawValue: TestDatabase.howToEnable)))
struct ShardOrderTests {
    @Test("somebody who was merged, parted and merged into a third is where identity has them")
    func third() async throws {
        try await JourneysFixture.with { fixture in
            _ = try await fixture.put(TestJourney.abandonedCart)
            let cleo = ProfileID(UUIDv7.derived(at: JourneysFixture.start, from: "cleo"))
            try await fixture.happen(fixture.event("Product Added", "m1", of: fixture.ada))
            try await fixture.pass(.minutes(5))
            try await fixture.merge(fixture.bob, into: fixture.ada)
            try await fixture.pass(.minutes(5))
            let (_, parting) = try await fixture.part(fixture.bob, from: fixture.ada)
            // The shard of the third is read first.
            try await fixture.merge(fixture.bob, into: cleo)
            try await fixture.drain()
            try await fixture.happen(parting, at: fixture.clock.now)
            try await fixture.drain()
            let running = try await fixture.instances(query: "?status=running")
            #expect(running.map { $0["profileId"]?.string } == [fixture.ada.description])
            try await fixture.happen(
                fixture.event("Product Added", "m2", of: cleo, under: fixture.bob))
            try await fixture.pass(.minutes(50))
            #expect(Set(try await fixture.intents().map(\.profileID)) == [fixture.ada])
            try await fixture.pass(.minutes(10))
            #expect(Set(try await fixture.intents().map(\.profileID)) == [fixture.ada, cleo])
            // Delivery waits to hear that all is said.
            let ends = try await fixture.told().count { $0.fact.json["kind"] == "unmerged" }
            #expect(ends >= 2)
        }
    }

    private static let cart = """
        name: Open cart
        status: active
        entry: {segment: cart-open, reentry: {after: 7d}}
        steps:
          - send: {template: reminder, purpose: marketing}
          - wait: {for: 23h}
          - send: {template: discount, purpose: marketing}
        """

    @Test("whoever is part of a third by the time that segmentation tells of them keeps what is theirs")
    func settled() async throws {
        try await JourneysFixture.with { fixture in
            _ = try await fixture.put(Self.cart)
            let cleo = ProfileID(UUIDv7.derived(at: JourneysFixture.start, from: "cleo"))
            try await fixture.merge(fixture.bob, into: fixture.ada)
            let merged = fixture.clock.now
            try await fixture.pass(.minutes(10))
            let at = fixture.clock.now
            try await fixture.change("cart-open", .entered, of: fixture.ada)
            try await fixture.pass(.minutes(10))
            #expect(try await fixture.intents().map(\.profileID) == [fixture.ada])
            let (id, parting) = try await fixture.part(fixture.bob, from: fixture.ada)
            try await fixture.merge(fixture.bob, into: cleo)
            try await fixture.drain()
            try await fixture.happen(parting, at: fixture.clock.now)
            try await fixture.drain()
            // His entry hid behind hers.
            for (person, changes) in [
                (fixture.ada, []),
                (
                    fixture.bob,
                    [
                        MembershipChange(
                            profileID: fixture.bob, segment: "cart-open", change: .entered, at: at,
                            version: 1, reason: .event, evidence: [:])
                    ]
                ),
            ] {
                try await fixture.tell(
                    .unmerged(
                        MembershipHistory(
                            profileID: person, mergeID: id, since: merged, versions: ["cart-open": 1],
                            changes: changes)))
            }
            try await fixture.drain()
            let corrections = try await fixture.corrections()
            #expect(corrections.map { "\($0.kind) \($0.profileID)" } == ["restated \(cleo)"])
            let running = try await fixture.instances(query: "?status=running")
            #expect(running.map { $0["profileId"]?.string } == [cleo.description])
            let ends = try await fixture.told().filter { $0.fact.json["kind"] == "unmerged" }.map(\.key)
            #expect(
                Set(ends.compactMap { ProfileID($0) }.map { Shard($0) })
                    == Set([fixture.ada, fixture.bob, cleo].map { Shard($0) }))
            try await fixture.pass(.hours(23))
            #expect(try await fixture.intents().map(\.profileID) == [fixture.ada, cleo])
        }
    }

    @Test("whoever is erased takes nobody along whom journeys still take for them")
    func erased() async throws {
        try await JourneysFixture.with { fixture in
            _ = try await fixture.put(TestJourney.abandonedCart)
            try await fixture.happen(fixture.event("Product Added", "m1", of: fixture.ada))
            try await fixture.merge(fixture.bob, into: fixture.ada)
            try await fixture.pass(.minutes(5))
            let (_, parting) = try await fixture.part(fixture.bob, from: fixture.ada)
            try await fixture.owner.execute(
                """
                UPDATE profiles.profile SET erased_at = \(fixture.clock.now)
                WHERE shard = \(Shard(fixture.bob)) AND profile_id = \(fixture.bob)
                """)
            // His shard is read first.
            try await fixture.happen(.erased(profileID: fixture.bob, at: fixture.clock.now))
            try await fixture.drain()
            try await fixture.happen(parting, at: fixture.clock.now)
            try await fixture.pass(.hours(1))
            #expect(try await fixture.intents().map(\.profileID) == [fixture.ada])
            let left = try await fixture.owner.query("SELECT profile_id FROM journeys.profile")
            #expect(try left.map { try $0.get("profile_id", as: ProfileID.self) } == [fixture.ada])
        }
    }

    @Test("an event counts for whom it arrived under, also when it was told of somebody they were taken for")
    func late() async throws {
        try await JourneysFixture.with { fixture in
            _ = try await fixture.put(TestJourney.abandonedCart)
            let cleo = ProfileID(UUIDv7.derived(at: JourneysFixture.start, from: "cleo"))
            let joining = try await fixture.unite(fixture.bob, with: fixture.ada)
            let cart = fixture.event("Product Added", "m1", of: fixture.ada, under: fixture.bob)
            fixture.clock.advance(by: .minutes(1))
            let (_, parting) = try await fixture.part(fixture.bob, from: fixture.ada)
            try await fixture.merge(fixture.bob, into: cleo)
            try await fixture.drain()
            try await fixture.happen(joining + [cart] + parting, at: fixture.clock.now)
            try await fixture.pass(.hours(1))
            #expect(try await fixture.intents().map(\.profileID) == [cleo])
        }
    }

    @Test(
        "for random merges and undoings, what comes of them is the same in every order, and as if never undone"
    )
    func random() async throws {
        let seed = TestSeed.value
        let cases = ProcessInfo.processInfo.environment["MARTLET_CASES"].flatMap { Int($0) } ?? 40
        print("seed \(seed), \(cases) cases")
        try await JourneysFixture.with { fixture in
            var run = ShardOrderRun(fixture, seed: seed, cases: cases)
            try await run.run()
            let people = try await run.people()
            let standing = try await run.standing()
            for _ in 0..<12 { try await fixture.pass(.hours(3)) }
            let (all, later) = (try await run.sends(later: false), try await run.sends(later: true))
            for number in 0..<cases {
                let text = Comment(rawValue: "seed \(seed), case \(number) of \(cases)")
                func place(_ world: ShardOrderRun.World) -> ShardOrderRun.Place {
                    ShardOrderRun.Place(number: number, world: world)
                }
                var isRight = true
                func expect<Value: Equatable>(_ value: Value, _ expected: Value) {
                    isRight = isRight && value == expected
                    #expect(value == expected, text)
                }
                for world in ShardOrderRun.World.allCases {
                    expect(people[place(world)]?.held, people[place(world)]?.known)
                }
                let (read, shuffled, apart) = (place(.inOrder), place(.shuffled), place(.neverMerged))
                expect(standing[shuffled], standing[read])
                // What one was about to get while they were in between is not made up for; for the rest it is the same.
                let (one, other) = (all[shuffled] ?? [:], all[read] ?? [:])
                expect(one.filter { other[$0.key] != nil }, other.filter { one[$0.key] != nil })
                expect(later[shuffled], later[read])
                expect(standing[shuffled], standing[apart])
                expect(later[shuffled], later[apart])
                if !isRight { print("\(text)\n\(try await run.story(of: number))") }
            }
        }
    }
}
