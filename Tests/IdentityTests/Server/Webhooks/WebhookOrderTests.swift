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
    "The order of webhooks by profile",
    .enabled(if: TestDatabase.isAvailable, Comment(rawValue: TestDatabase.howToEnable)))
struct WebhookOrderTests {
    @Test("events of a profile wait for the one before them, and those of others don't")
    func order() async throws {
        let isBroken = Mutex(true)
        try await WebhookWorld.with { world in
            try await HTTPReceiver.with { received in
                let isStuck = received.json[path: "data.changedTraits"] == ["stuck"]
                return HTTPReceiver.Reply(isStuck && isBroken.withLock { $0 } ? 500 : 200)
            } _: { receiver in
                try await world.endpoint(receiver.url(), types: [.updated], ordering: .profile)
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
                for one in receiver.received {
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
                try await world.endpoint(receiver.url(), ordering: .profile)
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
                try await world.endpoint(receiver.url(), ordering: .profile)
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
}
