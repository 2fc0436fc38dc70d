import IdentityDomain
import Models
import Postgres
import ServiceKit
import TestSupport
import Testing

@testable import IdentityServer

@Suite(
    "Webhooks whose receivers fail",
    .enabled(if: TestDatabase.isAvailable, Comment(rawValue: TestDatabase.howToEnable)))
struct WebhookRetryTests {
    @Test("what fails is tried again with the same id, when the schedule says, until it is delivered")
    func retried() async throws {
        let answers = Answers([500, 0, 503, 200])
        try await WebhookWorld.with { world in
            try await HTTPReceiver.with { _ in
                HTTPReceiver.Reply(answers.next())
            } _: { receiver in
                let endpoint = try await world.endpoint(receiver.url())
                try await world.resolve([event(0, user: "u")])
                let dispatcher = world.dispatcher()
                for attempt in 1...4 {
                    #expect(try await dispatcher.deliverDue() == 1)
                    let delivery = try #require(try await world.deliveries(of: endpoint.id).first)
                    if attempt == 4 {
                        #expect(delivery.state == "delivered")
                    } else {
                        let next = try #require(delivery.nextAttemptAt)
                        world.machine.set(next + .milliseconds(-1))
                        #expect(try await dispatcher.deliverDue() == 0)
                        world.machine.set(next)
                    }
                }
                #expect(Set(receiver.received.map(\.webhookID)).count == 1)
                let statuses = try await world.deliveries(of: endpoint.id).first?.attempts.array?.map {
                    $0["status"]
                }
                #expect(statuses == [500, 599, 503, 200])
            }
        }
    }

    @Test(
        "after the tenth attempt a delivery has failed, and after five days of failures the endpoint is disabled"
    )
    func exhausted() async throws {
        try await WebhookWorld.with { world in
            try await HTTPReceiver.with { _ in
                HTTPReceiver.Reply(500)
            } _: { receiver in
                let endpoint = try await world.endpoint(receiver.url())
                try await world.resolve([event(0, user: "u")])
                let dispatcher = world.dispatcher()
                for _ in 0..<10 {
                    #expect(try await dispatcher.deliverDue() == 1)
                    let paused = try await world.stored(endpoint.id)?.health.pausedUntil
                    let next = try await world.deliveries(of: endpoint.id).first?.nextAttemptAt
                    world.machine.set([world.machine.now, paused ?? start, next ?? start].max() ?? start)
                }
                #expect(receiver.received.count == 10)
                #expect(try await world.deliveries(of: endpoint.id).map(\.state) == ["failed"])
                #expect(try await world.stored(endpoint.id)?.isEnabled == true)
                world.machine.advance(by: .hours(46))
                try await world.resolve([event(1, user: "v")])
                try await dispatcher.deliverDue()
                let stored = try #require(try await world.stored(endpoint.id))
                #expect(!stored.isEnabled)
                #expect(stored.disabling == .failing)
            }
        }
    }

    @Test(
        "410 disables the endpoint; what is queued waits, and nothing more is queued until it is enabled again"
    )
    func gone() async throws {
        let answers = Answers([410, 200])
        try await WebhookWorld.with { world in
            try await HTTPReceiver.with { _ in
                HTTPReceiver.Reply(answers.next())
            } _: { receiver in
                let endpoint = try await world.endpoint(receiver.url())
                try await world.resolve([event(0, user: "u")])
                try await world.dispatcher().deliverDue()
                #expect(try await world.stored(endpoint.id)?.disabling == .gone)
                try await world.resolve([event(1, user: "v")])
                #expect(try await world.deliveries(of: endpoint.id).map(\.state) == ["failed"])
                try await world.pool.transaction { transaction in
                    var stored = try #require(try await world.endpoints.lock(endpoint.id, in: transaction))
                    stored.enable()
                    try await world.endpoints.update(stored, in: transaction)
                }
                try await world.resolve([event(2, user: "w")])
                #expect(try await world.dispatcher().deliverDue() == 1)
            }
        }
    }

    @Test(
        "an endpoint that fails is given one attempt at a time, with pauses, and what waits behind it is kept"
    )
    func pauses() async throws {
        try await WebhookWorld.with { world in
            try await HTTPReceiver.with { _ in
                HTTPReceiver.Reply(500)
            } _: { receiver in
                let endpoint = try await world.endpoint(receiver.url(), ordering: .profile)
                try await world.resolve((0..<50).map { event($0, user: "u\($0)") })
                let dispatcher = world.dispatcher()
                #expect(try await dispatcher.deliverDue() == 16)
                let paused = try #require(try await world.stored(endpoint.id)?.health.pausedUntil)
                #expect(paused == world.machine.now + .minutes(5))
                world.machine.set(paused + .milliseconds(-1))
                #expect(try await dispatcher.deliverDue() == 0)
                world.machine.set(paused)
                #expect(try await dispatcher.deliverDue() == 1)
                #expect(try await world.deliveries(of: endpoint.id).allSatisfy { $0.state == "pending" })
            }
        }
    }
}
