import IdentityDomain
import Models
import Postgres
import ServiceKit
import TestSupport
import Testing

@testable import IdentityServer

@Suite(
    "Delivering webhooks",
    .enabled(if: TestDatabase.isAvailable, Comment(rawValue: TestDatabase.howToEnable)))
struct WebhookDeliveryTests {
    @Test("the signature is the one that Standard Webhooks publishes for its example")
    func vector() {
        let header = WebhookSignature.header(
            id: "msg_p5jXN8AQM9LWM0D4loKWxJek", timestamp: 1_614_265_330,
            body: Array(#"{"test": 2432232314}"#.utf8),
            secrets: ["whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"])
        #expect(header == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=")
    }

    @Test("a new profile, a change and a merge reach the endpoint, in order, signed, and without values")
    func delivered() async throws {
        try await WebhookWorld.with { world in
            try await HTTPReceiver.with { receiver in
                let endpoint = try await world.endpoint(receiver.url())
                for event in [
                    event(0, device: "d"), event(1, .identify, user: "u", traits: ["plan": "secret-value"]),
                    event(2, user: "u", device: "d"),
                    event(3, .identify, user: "u", email: "a@x.org", traits: ["plan": "pro"]),
                ] { try await world.resolve([event]) }
                #expect(try await world.dispatcher().deliverDue() == 4)
                let received = receiver.received
                #expect(Set(received.map(\.webhookID)).count == 4)
                let types = received.compactMap { $0.json["type"]?.string }
                #expect(
                    types.sorted() == [
                        "profile.created", "profile.created", "profile.merged", "profile.updated",
                    ])
                #expect(types.firstIndex(of: "profile.merged") == 2)
                for one in received {
                    let timestamp = try #require(one.headers["webhook-timestamp"].flatMap { Int64($0) })
                    #expect(timestamp == world.machine.now.milliseconds / 1000)
                    #expect(
                        one.headers["webhook-signature"]
                            == WebhookSignature.header(
                                id: one.webhookID, timestamp: timestamp, body: one.body,
                                secrets: endpoint.secrets.texts))
                    #expect(!one.text.contains("secret-value") && !one.text.contains("a@x.org"))
                }
                let update = try #require(received.last).json
                #expect(update[path: "data.changedTraits"] == ["email", "plan"])
                #expect(update[path: "data.addedIdentifierTypes"] == ["email"])
                #expect(try await world.dispatcher().deliverDue() == 0)
                #expect(try await world.deliveries(of: endpoint.id).allSatisfy { $0.state == "delivered" })
            }
        }
    }

    @Test("a merge that is taken back reaches the endpoint, after the merge, with both who are parted")
    func unmerged() async throws {
        try await WebhookWorld.with { world in
            try await HTTPReceiver.with { receiver in
                try await world.endpoint(receiver.url(), types: [.merged, .unmerged])
                try await world.resolve([event(0, device: "d"), event(1, user: "u")])
                try await world.resolve([event(2, user: "u", device: "d")])
                try await ServiceHarness.with(
                    identityService, database: world.identity.database,
                    clock: SimulatedClock(start + .hours(1)),
                    workers: false
                ) { service in
                    let merges = try await service.request("GET", "/v1/merges").json
                    let id = try #require(merges[path: "items.0.mergeId"]?.string)
                    let undone = try await service.request(
                        "POST", "/v1/merges/\(id)/undo", json: ["note": "a colleague's"])
                    #expect(undone.status == 200)
                }
                #expect(try await world.dispatcher().deliverDue() == 2)
                let told = receiver.received.map(\.json)
                #expect(told.map { $0["type"] } == ["profile.merged", "profile.unmerged"])
                let ids = told.map { Set($0["data"]?.object?.values.compactMap(\.string) ?? []) }
                #expect(ids[0].count >= 2 && ids[0] == ids[1])
            }
        }
    }

    @Test("with includeTraits an event holds the values at the time of the attempt")
    func traits() async throws {
        try await WebhookWorld.with { world in
            try await HTTPReceiver.with { receiver in
                try await world.endpoint(receiver.url(), includesTraits: true)
                try await world.resolve([event(1, .identify, user: "u", traits: ["plan": "pro", "a": 1])])
                try await world.resolve([event(2, .identify, user: "u", traits: ["plan": "free"])])
                try await world.resolve([event(3, .identify, user: "u", traits: ["plan": .null])])
                try await world.dispatcher().deliverDue()
                let traits = receiver.received.map { $0.json[path: "data.traits"] }
                #expect(traits == [["a": 1], ["plan": .null], ["plan": .null]])
            }
        }
    }

    @Test("several instances deliver each event once")
    func instances() async throws {
        try await WebhookWorld.with { world in
            try await HTTPReceiver.with { receiver in
                try await world.endpoint(receiver.url())
                try await world.endpoint(receiver.url())
                try await world.resolve((0..<60).map { event($0, user: "u\($0)") })
                let dispatchers = (0..<4).map { _ in world.dispatcher() }
                let total = try await withThrowingTaskGroup(of: Int.self) { group in
                    for dispatcher in dispatchers { group.addTask { try await dispatcher.deliverDue() } }
                    return try await group.reduce(0, +)
                }
                // Who finds an endpoint claimed by somebody else passes it over.
                let rest = try await world.dispatcher().deliverDue()
                #expect(total + rest == 120)
                #expect(receiver.received.count == 120)
                // The same event has the same id at both endpoints.
                #expect(Set(receiver.received.map(\.webhookID)).count == 60)
            }
        }
    }

    @Test(
        "what an instance leaves behind when it is killed is delivered again, with the same id, and not before"
    )
    func killed() async throws {
        try await WebhookWorld.with { world in
            try await HTTPReceiver.with { receiver in
                let endpoint = try await world.endpoint(receiver.url())
                try await world.resolve([event(0, user: "u")])
                let now = world.machine.now
                let claimed = try await world.pool.transaction {
                    try await DeliveryStore().claim(10, at: now, in: $0)
                }
                #expect(claimed.count == 1)
                #expect(try await world.dispatcher().deliverDue() == 0)
                try await world.identity.owner.execute(
                    "UPDATE identity.webhook_delivery SET leased_until = now() - interval '1 second'")
                #expect(try await world.dispatcher().deliverDue() == 1)
                #expect(receiver.received.map(\.webhookID) == claimed.map(\.eventID.description))
                #expect(try await world.deliveries(of: endpoint.id).first?.state == "delivered")
            }
        }
    }
}
