import Models
import Postgres
import ProfileStore
import ServiceKit
import TestSupport
import Testing

@testable import IdentityServer

@Suite(
    "What is kept of webhooks",
    .enabled(if: TestDatabase.isAvailable, Comment(rawValue: TestDatabase.howToEnable)))
struct WebhookRetentionTests {
    @Test("what waits for a person who is erased goes without anything that was theirs")
    func erased() async throws {
        let answers = Answers([500, 200])
        try await WebhookWorld.with { world in
            try await HTTPReceiver.with { _ in
                HTTPReceiver.Reply(answers.next())
            } _: { receiver in
                let endpoint = try await world.endpoint(receiver.url(), includesTraits: true)
                try await world.resolve([event(0, .identify, user: "u", traits: ["illness": "planted"])])
                let dispatcher = world.dispatcher()
                try await dispatcher.deliverDue()
                #expect(receiver.received.first?.text.contains("planted") == true)
                let store = world.identity.store
                let user = try #require(Identifier(.userID, "u"))
                let id = try #require(try await store.canonicalID(of: user, in: world.pool))
                let request = PrivacyRequest(
                    id: PrivacyRequestID(UUIDv7.derived(at: start, from: "r")), type: .erasure, profileID: id,
                    profileIDs: [id], requestedAt: start)
                let privacy = world.identity.privacy()
                let held = try await world.pool.transaction { try await privacy.access(request, in: $0) }
                #expect(held[path: "webhooks.0.type"] == "profile.created")
                let counts = try await world.pool.transaction { try await privacy.erase(request, in: $0) }
                #expect(counts["webhookDeliveries"] == 1)
                world.machine.advance(by: .seconds(10))
                try await dispatcher.deliverDue()
                #expect(
                    receiver.received.last?.json["data"] == [
                        "profileId": .string(id.description), "erased": true,
                    ])
                #expect(try await world.deliveries(of: endpoint.id).first?.isErased == true)
                let rows = try await world.identity.owner.query(
                    "SELECT string_agg(d::text, '') AS all_of_it FROM identity.webhook_delivery d")
                #expect(try rows.first?.get("all_of_it", as: String.self).contains("illness") == false)
            }
        }
    }

    @Test("deliveries are kept for thirty days")
    func retention() async throws {
        try await WebhookWorld.with { world in
            let endpoint = try await world.endpoint("http://127.0.0.1:1/")
            try await world.resolve([event(0, user: "u")])
            let store = DeliveryStore()
            // The queue is written with the machine's real clock.
            let now = Instant.fromSystemClock()
            #expect(try await store.deleteOld(before: now - .hours(24), in: world.pool) == (0, 0))
            #expect(try await store.deleteOld(before: now + .hours(24), in: world.pool) == (1, 1))
            #expect(try await world.deliveries(of: endpoint.id).isEmpty)
        }
    }
}
