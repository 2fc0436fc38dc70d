import IdentityDomain
import Models
import Postgres
import ProfileStore
import ServiceKit
import TestSupport
import Testing

@testable import IdentityServer

@Suite(
    "What the consent policy asks for destinations",
    .enabled(if: TestDatabase.isAvailable, Comment(rawValue: TestDatabase.howToEnable)))
struct DestinationTests {
    /// A purpose `sharing` that a destination needs, and others do not.
    private func policy(_ endpoint: WebhookEndpointID, _ purpose: [String: JSON] = [:]) -> JSON {
        let sharing: [String: JSON] = [
            "name": "Sharing with Acme", "legalBasis": "consent", "recipient": "Acme",
            "text": ["version": "1"],
        ]
        return [
            "purposes": ["sharing": .object(sharing.merging(purpose) { $1 })],
            "requires": ["destinations": [endpoint.description: ["sharing"]]],
        ]
    }

    @Test("one that it names is told nothing of people who do not permit it, and each non-send says why")
    func permitted() async throws {
        try await WebhookWorld.with(consent: true) { world in
            try await HTTPReceiver.with { receiver in
                let named = try await world.endpoint(receiver.url("/named")).id
                let other = try await world.endpoint(receiver.url("/other")).id
                try await world.identity.putPolicy(policy(named))
                try await world.resolve([event(0, user: "u"), event(1, user: "v"), event(2, user: "w")])
                let (v, w) = (
                    try await world.identity.profile(ofUser: "v"),
                    try await world.identity.profile(ofUser: "w")
                )
                try await world.identity.decide(.granted, "sharing", by: v, at: start)
                try await world.identity.decide(.granted, "sharing", by: w, at: start)
                // Queued while it was permitted: what counts is what they say when it is sent.
                try await world.identity.decide(.withdrawn, "sharing", by: w, at: start + .seconds(1))
                try await world.dispatcher().deliverDue()
                let told = receiver.received.filter { $0.path == "/named" }
                #expect(told.map { $0.json[path: "data.profileId"] } == [.string(v.description)])
                #expect(receiver.received.count { $0.path == "/other" } == 3)
                let deliveries = try await world.deliveries(of: named).sorted { $0.queuedAt < $1.queuedAt }
                let byProfile = Dictionary(
                    deliveries.map { ($0.profileID, $0) }, uniquingKeysWith: { $1 })
                #expect(byProfile[v]?.state == "delivered")
                #expect(byProfile[v]?.consent?["purposes"] == ["sharing"])
                #expect(byProfile[v]?.consent?["ledgerEntries"]?.array?.count == 1)
                #expect(byProfile[w]?.state == "withheld")
                #expect(byProfile[w]?.consent?["reason"] == "consent-withdrawn")
                let u = try await world.identity.profile(ofUser: "u")
                #expect(byProfile[u]?.consent?["reason"] == "consent-missing")
                #expect(byProfile[u]?.attempts == [])
                #expect(try await world.deliveries(of: other).allSatisfy { $0.state == "delivered" })
                // Nothing waits behind what was withheld.
                #expect(try await world.dispatcher().deliverDue() == 0)
            }
        }
    }

    @Test("an attempt waits for whoever is just writing a decision, and heeds it")
    func races() async throws {
        try await WebhookWorld.with(consent: true) { world in
            try await HTTPReceiver.with { receiver in
                let named = try await world.endpoint(receiver.url()).id
                try await world.identity.putPolicy(policy(named))
                try await world.resolve([event(0, user: "u")])
                let u = try await world.identity.profile(ofUser: "u")
                try await world.identity.decide(.granted, "sharing", by: u, at: start)
                let dispatcher = world.dispatcher()
                let attempts = try await world.identity.owner.transaction { transaction in
                    try await DecisionLock.take(for: .deciding, of: [u], in: transaction)
                    let attempts = Task { try await dispatcher.deliverDue() }
                    try await world.identity.decide(
                        .withdrawn, "sharing", by: u, at: start + .seconds(1), in: transaction)
                    return attempts
                }
                _ = try await attempts.value
                #expect(receiver.received.isEmpty)
                #expect(try await world.deliveries(of: named).map(\.state) == ["withheld"])
            }
        }
    }

    @Test("a merge is told only if both who are one now permit it; what is withheld can be queued anew")
    func merges() async throws {
        try await WebhookWorld.with(consent: true) { world in
            try await HTTPReceiver.with { receiver in
                let named = try await world.endpoint(receiver.url(), types: [.merged]).id
                try await world.identity.putPolicy(policy(named))
                try await world.resolve([event(0, device: "d"), event(1, user: "u")])
                try await world.resolve([event(2, user: "u", device: "d")])
                let u = try await world.identity.profile(ofUser: "u")
                try await world.dispatcher().deliverDue()
                let delivery = try #require(try await world.deliveries(of: named).first)
                #expect(delivery.state == "withheld")
                try await world.identity.decide(.granted, "sharing", by: u, at: start)
                let isQueued = try await world.pool.transaction {
                    try await DeliveryListStore().requeue(
                        delivery.eventID, of: named, at: world.machine.now, in: $0)
                }
                #expect(isQueued)
                try await world.dispatcher().deliverDue()
                #expect(receiver.received.map { $0.json["type"] } == ["profile.merged"])
            }
        }
    }

    @Test("of somebody whose data is restricted no destination is told, whatever the policy names")
    func restricted() async throws {
        try await WebhookWorld.with(consent: true) { world in
            try await HTTPReceiver.with { receiver in
                let endpoint = try await world.endpoint(receiver.url()).id
                try await world.resolve([event(0, user: "u"), event(1, user: "v")])
                let u = try await world.identity.profile(ofUser: "u")
                try await world.identity.owner.execute(
                    """
                    INSERT INTO profiles.restriction (shard, profile_id, request_id, restricted_at)
                    VALUES (\(Shard(u)), \(u), \(UUIDv7.make(at: start)), \(start))
                    """)
                try await world.dispatcher().deliverDue()
                #expect(receiver.received.count == 1)
                let withheld = try await world.deliveries(of: endpoint).first { $0.profileID == u }
                #expect(withheld?.consent?["reason"] == "restricted")
            }
        }
    }

    @Test("who was never told of somebody does not hear of them by their erasure")
    func erasure() async throws {
        try await WebhookWorld.with(consent: true) { world in
            try await HTTPReceiver.with { receiver in
                let named = try await world.endpoint(receiver.url("/named")).id
                try await world.endpoint(receiver.url("/other"))
                try await world.identity.putPolicy(policy(named))
                try await world.resolve([event(0, user: "u")])
                let u = try await world.identity.profile(ofUser: "u")
                try await world.dispatcher().deliverDue()
                let request = PrivacyRequest(
                    id: PrivacyRequestID(UUIDv7.make(at: start)), type: .erasure, profileID: u,
                    profileIDs: [u],
                    requestedAt: start)
                let told = try await world.pool.transaction {
                    try await WebhookQueue.tell(
                        ofErasing: [u], for: request, at: start, queuedAt: world.machine.now, in: $0)
                }
                #expect(told.count == 1)
                #expect(told.first?["endpointId"] != .string(named.description))
            }
        }
    }

    private func erase(_ id: ProfileID, in world: WebhookWorld) async throws -> [JSON] {
        let request = PrivacyRequest(
            id: PrivacyRequestID(UUIDv7.make(at: start)), type: .erasure, profileID: id, profileIDs: [id],
            requestedAt: start)
        return try await world.pool.transaction {
            try await WebhookQueue.tell(
                ofErasing: [id], for: request, at: start, queuedAt: world.machine.now, in: $0)
        }
    }

    @Test(
        "who was told of somebody long ago is told of their erasure, whatever was withheld since, and who was only kept from them then is not"
    )
    func longAgo() async throws {
        try await WebhookWorld.with(consent: true) { world in
            try await HTTPReceiver.with { receiver in
                let named = try await world.endpoint(receiver.url()).id
                try await world.identity.putPolicy(policy(named))
                try await world.resolve([event(0, user: "u"), event(1, user: "v")])
                let (u, v) = (
                    try await world.identity.profile(ofUser: "u"),
                    try await world.identity.profile(ofUser: "v")
                )
                try await world.identity.decide(.granted, "sharing", by: u, at: start)
                try await world.dispatcher().deliverDue()
                try await world.identity.decide(.withdrawn, "sharing", by: u, at: start + .seconds(1))
                // What was told, and what was withheld, is kept no longer.
                let later = Instant.fromSystemClock() + .hours(1)
                #expect(try await DeliveryStore().deleteOld(before: later, in: world.pool) == (2, 0))
                try await world.resolve([
                    event(2, .identify, user: "u", traits: ["a": 1]),
                    event(3, .identify, user: "v", traits: ["a": 1]),
                ])
                try await world.dispatcher().deliverDue()
                #expect(receiver.received.count == 1)
                #expect(try await world.deliveries(of: named).allSatisfy { $0.state == "withheld" })
                #expect(try await DeliveryStore().deleteOld(before: later, in: world.pool) == (2, 0))
                let known = try await world.pool.transaction { try await WebhookQueue.told(of: [u], in: $0) }
                #expect(known.array?.map { $0["endpointId"] } == [.string(named.description)])
                #expect(try await erase(v, in: world).isEmpty)
                #expect(
                    try await erase(u, in: world).map { $0["endpointId"] } == [.string(named.description)])
                let left = try await world.identity.owner.query("SELECT FROM identity.webhook_audience")
                #expect(left.isEmpty)
            }
        }
    }

    @Test(
        "an attempt that nobody recorded counts as told, although the person withdrew before it was made again"
    )
    func unrecorded() async throws {
        try await WebhookWorld.with(consent: true) { world in
            try await HTTPReceiver.with { receiver in
                let named = try await world.endpoint(receiver.url()).id
                try await world.identity.putPolicy(policy(named))
                try await world.resolve([event(0, user: "u")])
                let u = try await world.identity.profile(ofUser: "u")
                try await world.identity.decide(.granted, "sharing", by: u, at: start)
                let gate = DestinationGate(
                    reading: ProfileReading(store: world.identity.store, pool: world.pool),
                    clock: SimulatedClock(start + .hours(1)).serviceClock)
                let claimed = try await world.pool.transaction {
                    try await DeliveryStore().claim(1, at: world.machine.now, in: $0)
                }
                // It is permitted, made, and whoever made it is killed.
                guard case .permitted = try await gate.ask(try #require(claimed.first), at: world.machine.now)
                else {
                    Issue.record("not permitted")
                    return
                }
                try await world.identity.owner.execute(
                    "UPDATE identity.webhook_delivery SET leased_until = now() - interval '1 second'")
                // Its lease has run out: it may not be made by them any more.
                guard case .lost = try await gate.ask(try #require(claimed.first), at: world.machine.now)
                else {
                    Issue.record("made by two")
                    return
                }
                try await world.identity.decide(.withdrawn, "sharing", by: u, at: start + .seconds(1))
                try await world.dispatcher().deliverDue()
                #expect(receiver.received.isEmpty)
                #expect(
                    try await erase(u, in: world).map { $0["endpointId"] } == [.string(named.description)])
            }
        }
    }
}
