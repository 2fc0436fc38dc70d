import JourneysDomain
import JourneysServer
import Models
import Postgres
import ServiceKit
import Streams
import TestSupport
import Testing

@Suite("Journeys as they run", .enabled(if: TestDatabase.isAvailable, "\(TestDatabase.howToEnable)"))
struct JourneyRunTests {
    @Test("three reminders go out at their hours, each with the event that began it")
    func abandonedCart() async throws {
        try await JourneysFixture.with { fixture in
            _ = try await fixture.put(TestJourney.abandonedCart)
            try await fixture.happen(fixture.event("Product Added", "m1", of: fixture.ada, ["name": "Mug"]))
            try await fixture.pass(.minutes(59))
            #expect(try await fixture.intents().isEmpty)
            try await fixture.pass(.minutes(1))
            let first = try #require(try await fixture.intents().first)
            #expect(first.template == "abandoned-cart-reminder")
            #expect(first.step == "reminder")
            #expect(first.purpose == "marketing")
            #expect(first.profileID == fixture.ada)
            #expect(first.at == JourneysFixture.start + .hours(1))
            #expect(first.variables["trigger"]?["properties"]?["name"] == "Mug")
            #expect(first.variables["journey"]?["name"] == "Abandoned cart")
            try await fixture.pass(.hours(23))
            #expect(try await fixture.intents().last?.variables["percent"] == 10)
            try await fixture.pass(.days(10))
            #expect(
                try await fixture.templates() == [
                    "abandoned-cart-reminder", "abandoned-cart-discount", "abandoned-cart-last-call",
                ])
            let last = try #require(try await fixture.intents().last)
            #expect(last.at == JourneysFixture.start + .hours(72), "late, but for the instant it was due")

            let instance = try #require(try await fixture.instances().first)
            #expect(instance["status"] == "ended")
            #expect(instance["endReason"] == "completed")
            let id = instance["id"]?.string ?? ""
            let detail = try await fixture.harness.request("GET", "/v1/instances/\(id)").json
            let history = detail["history"]?.array ?? []
            #expect(history.first?["kind"] == "entered")
            #expect(history.first?["cause"]?["messageId"] == "m1")
            #expect(history.first?["cause"]?["position"]?["stream"] == "profile-events")
            #expect(history.filter { $0["kind"] == "sent" }.count == 3)
            #expect(history.last?["cause"]?["kind"] == "timer")
            #expect(try await fixture.count("deadline") == 0)
        }
    }

    @Test("the purchase stops the journey at once, also when it is read after the timer was due")
    func purchase() async throws {
        try await JourneysFixture.with { fixture in
            _ = try await fixture.put(TestJourney.abandonedCart)
            try await fixture.happen(fixture.event("Product Added", "m1", of: fixture.ada))
            try await fixture.drain()
            fixture.clock.advance(by: .minutes(30))
            try await fixture.happen(fixture.event("Order Completed", "m2", of: fixture.ada))
            fixture.clock.advance(by: .hours(5))
            try await fixture.drain()
            try await fixture.sweep()
            #expect(try await fixture.intents().isEmpty)
            let instance = try #require(try await fixture.instances().first)
            #expect(instance["endReason"] == "event")
            #expect(instance["endedAt"]?.string == (JourneysFixture.start + .minutes(30)).rfc3339)
        }
    }

    @Test("those who are not let in are recorded with the reason")
    func refusals() async throws {
        try await JourneysFixture.with { fixture in
            _ = try await fixture.put(TestJourney.abandonedCart)
            let old = fixture.clock.now - .days(400)
            try await fixture.happen(
                fixture.event("Product Added", "m0", of: fixture.ada, at: old),
                fixture.event("Product Added", "m1", of: fixture.ada),
                fixture.event("Product Added", "m2", of: fixture.ada))
            try await fixture.drain()
            let refused = try await fixture.history(query: "?kind=notEntered")
            #expect(Set(refused.map { $0["detail"]?["reason"] }) == ["tooOld", "alreadyRunning"])
            #expect(try await fixture.instances().count == 1)
        }
    }

    @Test("whose data is restricted is let into nothing until that is lifted")
    func restricted() async throws {
        try await JourneysFixture.with { fixture in
            _ = try await fixture.put(TestJourney.abandonedCart)
            try await fixture.owner.execute(
                """
                INSERT INTO profiles.profile (shard, profile_id, canonical_id)
                VALUES (\(Shard(fixture.ada)), \(fixture.ada), \(fixture.ada)) ON CONFLICT DO NOTHING
                """)
            try await fixture.owner.execute(
                """
                INSERT INTO profiles.restriction (shard, profile_id, request_id)
                VALUES (\(Shard(fixture.ada)), \(fixture.ada), gen_random_uuid())
                """)
            try await fixture.happen(fixture.event("Product Added", "m1", of: fixture.ada))
            try await fixture.pass(.minutes(1))
            #expect(try await fixture.instances().isEmpty)
            #expect(try await fixture.history().map { $0["detail"]?["reason"] } == ["restricted"])
            try await fixture.owner.execute("DELETE FROM profiles.restriction")
            try await fixture.happen(fixture.event("Product Added", "m2", of: fixture.ada))
            try await fixture.pass(.minutes(1))
            #expect(try await fixture.instances().count == 1)
        }
    }

    @Test("reading every record again changes nothing and sends nothing twice")
    func rereading() async throws {
        try await JourneysFixture.with { fixture in
            _ = try await fixture.put(TestJourney.abandonedCart)
            try await fixture.happen(
                fixture.event("Product Added", "m1", of: fixture.ada),
                fixture.event("Product Added", "m2", of: fixture.bob))
            try await fixture.pass(.days(2))
            let before = try await fixture.intents()
            #expect(before.count == 4)
            try await fixture.owner.execute("DELETE FROM journeys.stream_checkpoint")
            try await fixture.drain()
            try await fixture.sweep()
            #expect(try await fixture.intents() == before)
            #expect(try await fixture.instances().count == 2)
        }
    }

    @Test("a merge hands the running journey to the survivor, and what the loser does later counts for it")
    func merge() async throws {
        try await JourneysFixture.with { fixture in
            _ = try await fixture.put(TestJourney.abandonedCart)
            try await fixture.happen(fixture.event("Product Added", "m1", of: fixture.bob))
            try await fixture.pass(.minutes(10))
            try await fixture.merge(fixture.bob, into: fixture.ada)
            try await fixture.pass(.minutes(50))
            let intent = try #require(try await fixture.intents().first)
            #expect(intent.profileID == fixture.ada)
            let instance = try #require(try await fixture.instances(query: "?profileId=\(fixture.ada)").first)
            #expect(instance["status"] == "running")
            let id = instance["id"]?.string ?? ""
            let detail = try await fixture.harness.request("GET", "/v1/instances/\(id)").json
            #expect(detail["history"]?.array?.contains { $0["kind"] == "moved" } == true)
            #expect(detail["history"]?.array?.first?["kind"] == "entered")
            // Read before the merge was known to identity, recorded under the old profile.
            try await fixture.happen(fixture.event("Order Completed", "m2", of: fixture.bob))
            try await fixture.drain()
            #expect(try await fixture.instances().first?["endReason"] == "event")
        }
    }

    @Test("where both are in the same journey, the survivor's passage goes on and the other ends")
    func mergeOfTwo() async throws {
        try await JourneysFixture.with { fixture in
            _ = try await fixture.put(TestJourney.abandonedCart)
            try await fixture.happen(fixture.event("Product Added", "m1", of: fixture.bob))
            try await fixture.pass(.minutes(10))
            try await fixture.happen(fixture.event("Product Added", "m2", of: fixture.ada))
            try await fixture.merge(fixture.bob, into: fixture.ada)
            try await fixture.drain()
            let ended = try await fixture.instances(query: "?status=ended")
            #expect(ended.map { $0["endReason"] } == ["merged"])
            #expect(ended.first?["profileId"]?.string == fixture.ada.description)
            #expect(try await fixture.instances(query: "?status=running").count == 1)
            try await fixture.pass(.hours(2))
            #expect(try await fixture.intents().count == 1)
        }
    }

    @Test("merges of merges end with the last survivor, also when they are read in one batch")
    func mergeChain() async throws {
        try await JourneysFixture.with { fixture in
            _ = try await fixture.put(TestJourney.abandonedCart)
            let cleo = ProfileID(UUIDv7.derived(at: JourneysFixture.start, from: "cleo"))
            try await fixture.happen(fixture.event("Product Added", "m1", of: cleo))
            try await fixture.merge(cleo, into: fixture.bob)
            try await fixture.merge(fixture.bob, into: fixture.ada)
            try await fixture.pass(.hours(1))
            #expect(try await fixture.intents().map(\.profileID) == [fixture.ada])
            #expect(try await fixture.instances(query: "?profileId=\(fixture.ada)").count == 1)
        }
    }

    @Test("erasure leaves nothing behind, and what was asked for loses its variables")
    func erasure() async throws {
        try await JourneysFixture.with { fixture in
            _ = try await fixture.put(TestJourney.abandonedCart)
            try await fixture.happen(
                fixture.event("Product Added", "m1", of: fixture.bob, ["name": "Mug"]),
                fixture.event("Product Added", "m2", of: fixture.ada, ["name": "Cup"]))
            try await fixture.pass(.hours(1))
            try await fixture.happen(.erased(profileID: fixture.bob, at: fixture.clock.now))
            try await fixture.drain()
            for table in ["instance", "deadline", "intent", "profile"] {
                #expect(try await fixture.count(table) == 1, "\(table)")
            }
            let variables = try await fixture.intents().map { ($0.profileID, $0.variables.isEmpty) }
            #expect(variables.contains { $0 == (fixture.bob, true) })
            #expect(variables.contains { $0 == (fixture.ada, false) })

            let request = PrivacyRequest(
                id: PrivacyRequestID(UUIDv7.make(at: fixture.clock.now)), type: .erasure,
                profileID: fixture.ada,
                profileIDs: [fixture.ada], requestedAt: fixture.clock.now)
            let privacy = try #require(fixture.harness.running.parts.privacy)
            let (held, counts) = try await fixture.owner.transaction { transaction in
                (
                    try await privacy.access(request, transaction),
                    try await privacy.erase(request, transaction)
                )
            }
            #expect(held["instances"]?.array?.count == 1)
            #expect((held["history"]?.array?.count ?? 0) > 2)
            #expect(counts["instance"] == 1)
            #expect(try await fixture.count("instance_history") == 0)
        }
    }

    @Test("what is still read of somebody who was erased leaves nothing, in whatever order the streams come")
    func readAfterErasure() async throws {
        try await JourneysFixture.with { fixture in
            _ = try await fixture.put(TestJourney.abandonedCart)
            _ = try await fixture.put(
                """
                name: VIP
                status: active
                entry: {segment: vip, reentry: always}
                steps:
                  - send: {template: vip, channel: email, purpose: marketing}
                """, as: "vip")
            try await fixture.happen(fixture.event("Product Added", "m1", of: fixture.bob))
            try await fixture.drain()
            #expect(try await fixture.count("instance") == 1)
            for profile in [fixture.ada, fixture.bob] {
                try await fixture.owner.execute(
                    """
                    INSERT INTO profiles.profile (shard, profile_id, canonical_id, erased_at)
                    VALUES (\(Shard(profile)), \(profile), \(profile),
                        \(profile == fixture.bob ? fixture.clock.now : nil)::timestamptz)
                    """)
                // Pages that were read before, and a stream that is behind the one that tells of the erasure.
                try await fixture.happen(fixture.event("Product Added", "m2 \(profile)", of: profile))
                try await fixture.change("vip", .entered, of: profile)
            }
            try await fixture.pass(.hours(1))
            #expect(Set(try await fixture.intents().map(\.profileID)) == [fixture.ada])
            for table in ["profile", "instance", "deadline", "instance_history", "intent"] {
                let rows = try await fixture.owner.query(
                    "SELECT FROM journeys.\(unsafe: table) WHERE profile_id = \(fixture.bob)")
                #expect(rows.isEmpty, "\(table)")
            }
        }
    }

    @Test("a paused journey stands still, and after it goes on the steps keep their distance")
    func pausing() async throws {
        try await JourneysFixture.with { fixture in
            _ = try await fixture.put(TestJourney.abandonedCart)
            try await fixture.happen(fixture.event("Product Added", "m1", of: fixture.ada))
            try await fixture.drain()
            _ = try await fixture.put(
                TestJourney.abandonedCart.replacing("status: active", with: "status: paused"))
            try await fixture.happen(fixture.event("Product Added", "m2", of: fixture.bob))
            try await fixture.pass(.days(5))
            #expect(try await fixture.intents().isEmpty)
            #expect(
                try await fixture.history(query: "?kind=notEntered").map { $0["detail"]?["reason"] } == [
                    "paused"
                ])
            _ = try await fixture.put(TestJourney.abandonedCart)
            try await fixture.sweep()
            #expect(try await fixture.templates() == ["abandoned-cart-reminder"])
            try await fixture.pass(.hours(22))
            #expect(try await fixture.intents().count == 1)
            try await fixture.pass(.hours(1))
            #expect(try await fixture.intents().count == 2)
        }
    }

    @Test("those inside keep the version that they entered by")
    func versions() async throws {
        try await JourneysFixture.with { fixture in
            _ = try await fixture.put(TestJourney.abandonedCart)
            try await fixture.happen(fixture.event("Product Added", "m1", of: fixture.ada))
            try await fixture.drain()
            _ = try await fixture.put(
                TestJourney.abandonedCart.replacing("abandoned-cart-reminder", with: "another-reminder"))
            try await fixture.happen(fixture.event("Product Added", "m2", of: fixture.bob))
            try await fixture.pass(.hours(1))
            let intents = try await fixture.intents()
            #expect(intents.first { $0.profileID == fixture.ada }?.template == "abandoned-cart-reminder")
            #expect(intents.first { $0.profileID == fixture.bob }?.template == "another-reminder")
            #expect(Set(intents.map(\.journeyVersion)) == [1, 2])
        }
    }

    @Test("deleting a journey lets everybody out")
    func deletion() async throws {
        try await JourneysFixture.with { fixture in
            _ = try await fixture.put(TestJourney.abandonedCart)
            try await fixture.happen(fixture.event("Product Added", "m1", of: fixture.ada))
            try await fixture.drain()
            #expect(try await fixture.harness.request("DELETE", "/v1/journeys/cart").status == 204)
            try await fixture.pass(.days(3))
            #expect(try await fixture.intents().isEmpty)
            #expect(try await fixture.count("deadline") == 0)
            _ = try await fixture.put(TestJourney.abandonedCart)
            #expect(try await fixture.instances().map { $0["endReason"] } == ["deleted"])
        }
    }

    @Test("entering a segment begins a journey with the newest event of the evidence, leaving it ends it")
    func segments() async throws {
        try await JourneysFixture.with { fixture in
            _ = try await fixture.put(
                """
                status: active
                entry: {segment: repeat-viewer, reentry: always}
                exits: [{segmentExited: repeat-viewer}]
                steps:
                  - wait: {for: 1h}
                  - branch:
                      cases:
                        - when: {segment: vip}
                          then: [{send: {template: vip, purpose: marketing}}]
                        - when: {trait: plan, equals: gold}
                          then: [{send: {template: gold, purpose: marketing}}]
                      default: [{send: {template: other, purpose: marketing}}]
                """, as: "views")
            try await fixture.owner.execute(
                """
                INSERT INTO profiles.profile (shard, profile_id, canonical_id)
                VALUES (\(Shard(fixture.bob)), \(fixture.bob), \(fixture.bob))
                """)
            try await fixture.owner.execute(
                """
                INSERT INTO profiles.trait VALUES
                    (\(Shard(fixture.bob)), \(fixture.bob), 'plan', '"gold"', now(), 'm', \(fixture.ada))
                """)
            try await fixture.happen(fixture.event("Product Viewed", "v1", of: fixture.ada, ["name": "Mug"]))
            let evidence: JSON = [
                "conditions": [
                    "events": [["messageId": "v1", "timestamp": .string(fixture.clock.now.rfc3339)]]
                ]
            ]
            try await fixture.change("repeat-viewer", .entered, of: fixture.ada, evidence: evidence)
            try await fixture.change("vip", .entered, of: fixture.ada)
            try await fixture.change("repeat-viewer", .entered, of: fixture.bob)
            let cleo = ProfileID(UUIDv7.derived(at: JourneysFixture.start, from: "cleo"))
            try await fixture.change("repeat-viewer", .entered, of: cleo)
            try await fixture.drain()
            fixture.clock.advance(by: .minutes(5))
            try await fixture.change("repeat-viewer", .exited, of: cleo)
            try await fixture.pass(.minutes(55))
            let intents = try await fixture.intents()
            #expect(Set(intents.map(\.template)) == ["vip", "gold"])
            let vip = try #require(intents.first { $0.profileID == fixture.ada })
            #expect(vip.variables["trigger"]?["properties"]?["name"] == "Mug")
            #expect(vip.variables["trigger"]?["segment"] == "repeat-viewer")
            #expect(
                try await fixture.instances("views", query: "?status=ended&profileId=\(cleo)").first?[
                    "endReason"]
                    == "segment")
        }
    }

    @Test("a change of segment does not let a timer overtake a purchase that is still to be read")
    func overtaking() async throws {
        try await JourneysFixture.with { fixture in
            _ = try await fixture.put(TestJourney.abandonedCart)
            try await fixture.happen(fixture.event("Product Added", "m1", of: fixture.ada))
            try await fixture.drain()
            fixture.clock.advance(by: .minutes(30))
            try await fixture.happen(fixture.event("Order Completed", "m2", of: fixture.ada))
            fixture.clock.advance(by: .hours(1))
            try await fixture.change("whatever", .entered, of: fixture.ada)
            let consumers = fixture.harness.running.parts.workers.compactMap { $0 as? StreamConsumer }
            let memberships = try #require(consumers.first { $0.stream == .memberships })
            await #expect(throws: RetryLater.self) { try await memberships.drain() }
            try await fixture.drain()
            #expect(try await fixture.intents().isEmpty)
        }
    }
}
