import IdentityDomain
import Models
import Postgres
import ProfileStore
import ServiceKit
import Synchronization
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

    @Test("events of a profile wait for the one before them, and those of others don't")
    func order() async throws {
        let isBroken = Mutex(true)
        try await WebhookWorld.with { world in
            try await HTTPReceiver.with { received in
                let isStuck = received.json[path: "data.changedTraits"] == ["stuck"]
                return HTTPReceiver.Reply(isStuck && isBroken.withLock { $0 } ? 500 : 200)
            } _: { receiver in
                try await world.endpoint(receiver.url(), types: [.updated])
                try await world.resolve((0..<3).map { event($0, user: "u\($0)") })
                try await world.resolve([event(10, .identify, user: "u0", traits: ["stuck": 1])])
                for number in 11..<15 {
                    try await world.resolve(
                        (0..<3).map {
                            event(number * 10 + $0, .identify, user: "u\($0)", traits: ["t\(number)": 1])
                        })
                }
                let dispatcher = world.dispatcher()
                #expect(try await dispatcher.deliverDue() == 1 + 8)
                #expect(receiver.received.count { $0.json[path: "data.changedTraits"] != ["stuck"] } == 8)
                isBroken.withLock { $0 = false }
                world.machine.advance(by: .seconds(10))
                #expect(try await dispatcher.deliverDue() == 5)
                var names: [JSON: [String]] = [:]
                for one in receiver.received.dropFirst(0) {
                    let name = one.json[path: "data.changedTraits.0"]?.string ?? ""
                    names[one.json[path: "data.profileId"] ?? .null, default: []].append(name)
                }
                let expected = ["t11", "t12", "t13", "t14"]
                #expect(
                    names.values.sorted { $0.count < $1.count } == [
                        expected, expected, ["stuck", "stuck"] + expected,
                    ])
            }
        }
    }

    @Test("however much waits behind one profile, the others of the endpoint are looked at")
    func manyBehindOne() async throws {
        let (stuck, other) = (ProfileID(UUIDv7.make(at: start)), ProfileID(UUIDv7.make(at: start)))
        try await WebhookWorld.with { world in
            try await HTTPReceiver.with { received in
                HTTPReceiver.Reply(received.text.contains(stuck.description) ? 500 : 200)
            } _: { receiver in
                try await world.endpoint(receiver.url())
                let queue = WebhookQueue(store: world.identity.store)
                func tell(_ ids: [ProfileID]) async throws {
                    try await world.pool.transaction { transaction in
                        for id in ids {
                            try await queue.queue(
                                [ProfileNotice(.updated, of: id)], at: start, in: transaction)
                        }
                    }
                }
                try await tell([stuck])
                #expect(try await world.dispatcher().deliverDue() == 1)
                try await tell(Array(repeating: stuck, count: 400) + [other])
                #expect(try await world.dispatcher().deliverDue() == 1)
                #expect(receiver.received.last?.text.contains(other.description) == true)
            }
        }
    }

    @Test("a merge waits for what is to be said of either profile")
    func orderOfMerges() async throws {
        let answers = Answers([500, 200])
        try await WebhookWorld.with { world in
            try await HTTPReceiver.with { _ in
                HTTPReceiver.Reply(answers.next())
            } _: { receiver in
                try await world.endpoint(receiver.url())
                try await world.resolve([event(0, device: "d")])
                let dispatcher = world.dispatcher()
                try await dispatcher.deliverDue()
                try await world.resolve([event(1, user: "u")])
                try await world.resolve([event(2, user: "u", device: "d")])
                try await dispatcher.deliverDue()
                #expect(receiver.received.map { $0.json["type"] } == ["profile.created", "profile.created"])
                world.machine.advance(by: .seconds(10))
                try await dispatcher.deliverDue()
                #expect(
                    receiver.received.suffix(2).map { $0.json["type"] } == [
                        "profile.created", "profile.merged",
                    ])
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

    @Test(
        "an endpoint that fails is given one attempt at a time, with pauses, and what waits behind it is kept"
    )
    func pauses() async throws {
        try await WebhookWorld.with { world in
            try await HTTPReceiver.with { _ in
                HTTPReceiver.Reply(500)
            } _: { receiver in
                let endpoint = try await world.endpoint(receiver.url())
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
                let privacy = IdentityPrivacy(
                    reading: ProfileReading(store: store, pool: world.pool), clock: world.machine.serviceClock
                )
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
            #expect(try await store.deleteOld(before: now - .hours(24), in: world.pool) == 0)
            #expect(try await store.deleteOld(before: now + .hours(24), in: world.pool) == 1)
            #expect(try await world.deliveries(of: endpoint.id).isEmpty)
        }
    }
}

/// Statuses one after the other; the last stays, and 0 is one that nobody knows.
private final class Answers: Sendable {
    private let left: Mutex<[Int]>

    init(_ statuses: [Int]) { left = Mutex(statuses) }

    func next() -> Int {
        let status = left.withLock { $0.count > 1 ? $0.removeFirst() : $0.first ?? 200 }
        return status == 0 ? 599 : status
    }
}
