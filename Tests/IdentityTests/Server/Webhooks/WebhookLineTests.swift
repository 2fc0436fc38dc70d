import IdentityDomain
import Models
import Postgres
import ServiceKit
import Synchronization
import TestSupport
import Testing

@testable import IdentityServer

@Suite(
    "The order of webhooks by endpoint",
    .enabled(if: TestDatabase.isAvailable, Comment(rawValue: TestDatabase.howToEnable)))
struct WebhookLineTests {
    @Test("events come one after the other, in the order in which they were queued, whoever delivers them")
    func order() async throws {
        let underWay = Mutex((now: 0, most: 0))
        try await WebhookWorld.with { world in
            try await HTTPReceiver.with { _ in
                underWay.withLock {
                    $0.now += 1
                    $0.most = max($0.most, $0.now)
                }
                await Task.yield()
                underWay.withLock { $0.now -= 1 }
                return HTTPReceiver.Reply(200)
            } _: { receiver in
                let endpoint = try await world.endpoint(receiver.url())
                for round in 0..<3 {
                    try await world.resolve((0..<20).map { event(round * 20 + $0, user: "u\(round)-\($0)") })
                }
                let dispatchers = (0..<4).map { _ in world.dispatcher() }
                try await withThrowingTaskGroup(of: Void.self) { group in
                    for dispatcher in dispatchers { group.addTask { _ = try await dispatcher.deliverDue() } }
                    try await group.waitForAll()
                }
                // Who finds the line taken passes it over.
                try await world.dispatcher().deliverDue()
                #expect(receiver.received.map(\.webhookID) == (try await queued(endpoint.id, in: world)))
                #expect(receiver.received.count == 60)
                #expect(underWay.withLock { $0.most } == 1)
            }
        }
    }

    @Test("what can't be delivered holds up its endpoint alone, and then all comes in order")
    func holdsUp() async throws {
        let isBroken = Mutex(false)
        try await WebhookWorld.with { world in
            try await HTTPReceiver.with { _ in
                HTTPReceiver.Reply(isBroken.withLock { $0 } ? 503 : 200)
            } _: { receiver in
                try await HTTPReceiver.with { healthy in
                    let endpoint = try await world.endpoint(receiver.url())
                    try await world.endpoint(healthy.url())
                    try await world.resolve([event(0, user: "u")])
                    let dispatcher = world.dispatcher()
                    #expect(try await dispatcher.deliverDue() == 2)
                    isBroken.withLock { $0 = true }
                    try await world.resolve((1..<6).map { event($0, user: "u\($0)") })
                    // One attempt at the first, none at those behind it.
                    #expect(try await dispatcher.deliverDue() == 1 + 5)
                    #expect(healthy.received.count == 6)
                    try await world.resolve([event(6, user: "late")])
                    #expect(try await dispatcher.deliverDue() == 1)
                    isBroken.withLock { $0 = false }
                    world.machine.advance(by: .seconds(10))
                    #expect(try await dispatcher.deliverDue() == 6)
                    var order = receiver.received.map(\.webhookID)
                    order.remove(at: 1)
                    #expect(order == (try await queued(endpoint.id, in: world)))
                    let attempts = try await world.deliveries(of: endpoint.id).map {
                        $0.attempts.array?.count ?? 0
                    }
                    #expect(attempts.sorted() == [1, 1, 1, 1, 1, 1, 2])
                }
            }
        }
    }

    @Test("an event that the receiver refuses is given up at its fourth attempt, and the next one follows")
    func refused() async throws {
        try await WebhookWorld.with { world in
            let (bad, good) = (ProfileID(UUIDv7.make(at: start)), ProfileID(UUIDv7.make(at: start)))
            try await HTTPReceiver.with { received in
                HTTPReceiver.Reply(received.text.contains(bad.description) ? 422 : 200)
            } _: { receiver in
                let endpoint = try await world.endpoint(receiver.url())
                try await tell([bad, good], in: world)
                let dispatcher = world.dispatcher()
                for attempt in 1...4 {
                    #expect(try await dispatcher.deliverDue() == (attempt == 4 ? 2 : 1))
                    world.machine.advance(by: .seconds(40 * 60))
                }
                #expect(
                    try await world.deliveries(of: endpoint.id).map(\.state).sorted() == [
                        "delivered", "failed",
                    ])
            }
        }
    }

    @Test("a delivery that is given up by hand holds up nobody any more, and a test stands in no line")
    func cancelled() async throws {
        try await WebhookWorld.with { world in
            let (bad, good) = (ProfileID(UUIDv7.make(at: start)), ProfileID(UUIDv7.make(at: start)))
            try await HTTPReceiver.with { received in
                HTTPReceiver.Reply(received.text.contains(bad.description) ? 500 : 200)
            } _: { receiver in
                let endpoint = try await world.endpoint(receiver.url())
                let list = DeliveryListStore()
                try await tell([bad, good], in: world)
                let dispatcher = world.dispatcher()
                #expect(try await dispatcher.deliverDue() == 1)
                let test = WebhookEventID(UUIDv7.make(at: start))
                let now = world.machine.now
                try await world.pool.transaction {
                    try await list.queueTest(test, for: endpoint.id, occurredAt: now, at: now, in: $0)
                }
                #expect(try await dispatcher.deliverDue() == 1)
                #expect(receiver.received.last?.webhookID == test.description)
                let event = try #require(
                    try await queued(endpoint.id, in: world).first.flatMap(WebhookEventID.init))
                try await world.pool.transaction {
                    try await list.cancel(event, of: endpoint.id, at: now, in: $0)
                }
                #expect(try await dispatcher.deliverDue() == 1)
                #expect(receiver.received.last?.text.contains(good.description) == true)
                #expect(try await list.get(event, of: endpoint.id, in: world.pool)?.state == "cancelled")
            }
        }
    }

    @Test("what is given up while it is being made keeps its place, and is delivered if it arrives")
    func cancelledUnderWay() async throws {
        let (arrived, gate) = (Gate(), Gate())
        try await WebhookWorld.with { world in
            try await HTTPReceiver.with { _ in
                await arrived.open()
                await gate.wait()
                return HTTPReceiver.Reply(200)
            } _: { receiver in
                let endpoint = try await world.endpoint(receiver.url())
                try await world.resolve([event(0, user: "u"), event(1, user: "v")])
                let first = try #require(
                    try await queued(endpoint.id, in: world).first.flatMap(WebhookEventID.init))
                async let made = world.dispatcher().deliverDue()
                await arrived.wait()
                let now = world.machine.now
                try await world.pool.transaction {
                    try await DeliveryListStore().cancel(first, of: endpoint.id, at: now, in: $0)
                }
                // Nobody else overtakes it.
                #expect(try await world.dispatcher().deliverDue() == 0)
                await gate.open()
                #expect(try await made == 2)
                #expect(
                    try await world.deliveries(of: endpoint.id).map(\.state) == ["delivered", "delivered"])
                #expect(receiver.received.map(\.webhookID) == (try await queued(endpoint.id, in: world)))
            }
        }
    }

    @Test(
        "an endpoint that is changed gets what follows at its new place, and not one event more at the old one"
    )
    func changed() async throws {
        let endpoints = Mutex<WebhookEndpointID?>(nil)
        try await WebhookWorld.with { world in
            try await HTTPReceiver.with { new in
                try await HTTPReceiver.with { _ in
                    guard let id = endpoints.withLock({ $0 }) else { return HTTPReceiver.Reply(500) }
                    try? await world.pool.transaction { transaction in
                        guard var stored = try await world.endpoints.lock(id, in: transaction) else { return }
                        stored.url = new.url()
                        stored.version += 1
                        try await world.endpoints.update(stored, in: transaction)
                    }
                    return HTTPReceiver.Reply(200)
                } _: { old in
                    let endpoint = try await world.endpoint(old.url())
                    endpoints.withLock { $0 = endpoint.id }
                    try await world.resolve((0..<5).map { event($0, user: "u\($0)") })
                    #expect(try await world.dispatcher().deliverDue() == 5)
                    #expect(old.received.count == 1 && new.received.count == 4)
                }
            }
        }
    }

    @Test("instances that are killed use up nobody's attempts")
    func attemptsOfTheKilled() async throws {
        let answers = Answers([422, 200])
        try await WebhookWorld.with { world in
            try await HTTPReceiver.with { _ in
                HTTPReceiver.Reply(answers.next())
            } _: { receiver in
                let endpoint = try await world.endpoint(receiver.url())
                try await world.resolve([event(0, user: "u")])
                let now = world.machine.now
                for _ in 0..<12 {
                    let claimed = try await world.pool.transaction {
                        try await DeliveryStore().claim(10, at: now, in: $0)
                    }
                    #expect(claimed.count == 1)
                    try await world.identity.owner.execute(
                        "UPDATE identity.webhook_delivery SET leased_until = now() - interval '1 second'")
                }
                #expect(try await world.dispatcher().deliverDue() == 1)
                #expect(try await world.deliveries(of: endpoint.id).map(\.state) == ["pending"])
                world.machine.advance(by: .seconds(10))
                #expect(try await world.dispatcher().deliverDue() == 1)
                #expect(try await world.deliveries(of: endpoint.id).map(\.state) == ["delivered"])
            }
        }
    }

    @Test("an erasure in the middle of a line takes its details from what is still to come")
    func erasedInTheMiddle() async throws {
        let world = Mutex<WebhookWorld?>(nil)
        try await WebhookWorld.with { one in
            world.withLock { $0 = one }
            let (first, second) = (ProfileID(UUIDv7.make(at: start)), ProfileID(UUIDv7.make(at: start)))
            try await HTTPReceiver.with { _ in
                if let world = world.withLock({ $0 }) {
                    _ = try? await world.pool.transaction { try await WebhookQueue.erase([second], in: $0) }
                }
                return HTTPReceiver.Reply(200)
            } _: { receiver in
                try await one.endpoint(receiver.url())
                let queue = WebhookQueue(store: one.identity.store)
                try await one.pool.transaction { transaction in
                    try await queue.queue(
                        [first, second].map { ProfileNotice(.updated, of: $0, traits: ["plan"]) }, at: start,
                        in: transaction)
                }
                #expect(try await one.dispatcher().deliverDue() == 2)
                #expect(receiver.received.first?.text.contains("plan") == true)
                #expect(receiver.received.last?.text.contains("plan") == false)
                #expect(receiver.received.last?.json[path: "data.erased"] == true)
            }
        }
    }

    @Test("a line that an instance leaves behind is delivered from where it stood, and not before")
    func killed() async throws {
        try await WebhookWorld.with { world in
            try await HTTPReceiver.with { receiver in
                let endpoint = try await world.endpoint(receiver.url())
                try await world.resolve((0..<20).map { event($0, user: "u\($0)") })
                let now = world.machine.now
                let claimed = try await world.pool.transaction {
                    try await DeliveryStore().claim(10, at: now, in: $0)
                }
                #expect(claimed.count == 10)
                #expect(try await world.dispatcher().deliverDue() == 0)
                try await world.identity.owner.execute(
                    "UPDATE identity.webhook_delivery SET leased_until = now() - interval '1 second'")
                #expect(try await world.dispatcher().deliverDue() == 20)
                #expect(receiver.received.map(\.webhookID) == (try await queued(endpoint.id, in: world)))
            }
        }
    }

    /// The ids of an endpoint's events in the order in which they were queued.
    private func queued(_ endpoint: WebhookEndpointID, in world: WebhookWorld) async throws -> [String] {
        try await world.pool.query(
            """
            SELECT event_id FROM identity.webhook_delivery
            WHERE endpoint_id = \(endpoint) AND type <> 'webhook.test' ORDER BY sequence
            """
        ).map { try $0.get("event_id", as: WebhookEventID.self).description }
    }

    private func tell(_ ids: [ProfileID], in world: WebhookWorld) async throws {
        let queue = WebhookQueue(store: world.identity.store)
        try await world.pool.transaction { transaction in
            try await queue.queue(
                ids.map { ProfileNotice(.updated, of: $0) }, at: start, in: transaction)
        }
    }
}
