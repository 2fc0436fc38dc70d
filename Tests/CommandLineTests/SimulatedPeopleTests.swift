import IdentityDomain
import Models
import Testing

@testable import CommandLine

/// The simulator knows who is who; the resolver has to find it out from the calls alone.
@Suite struct SimulatedPeopleTests {
    private let start = Instant(milliseconds: 1_700_000_000_000)

    private func events(of world: inout World) throws -> [TrackingEvent] {
        var events: [TrackingEvent] = []
        for _ in 0..<world.days {
            for shopper in world.states.indices {
                for visit in world.nextDay(of: shopper)?.visits ?? [] {
                    for call in world.session(visit).calls {
                        var members = call.object ?? [:]
                        members["receivedAt"] = members["timestamp"]
                        members["sourceId"] = "018bcfe5-0000-7000-8000-000000000001"
                        events.append(try TrackingEvent(json: .object(members)))
                    }
                }
            }
        }
        return events
    }

    @Test(
        "nobody is taken for somebody else, and everybody is found whom the calls tell of",
        arguments: [false, true])
    func truth(_ isShuffled: Bool) throws {
        let seed = TestSeed.value
        var world = World(seed: seed, shoppers: 400, days: 20, start: start)
        var events = try events(of: &world)
        if isShuffled {
            var random = SplitMix64(seed: seed)
            events.shuffle(using: &random)
        }
        var resolver = Resolver(Resolver.Snapshot())
        var arrived: [String: ProfileID] = [:]
        for event in events {
            let placement = try #require(try resolver.resolve(event))
            arrived[event.anonymousID ?? ""] = arrived[event.anonymousID ?? ""] ?? placement.arrivedUnder
        }
        let found = arrived.mapValues { resolver.root(of: $0) }
        var people: [ProfileID: Set<String>] = [:]
        var (right, wrong, missed, facts) = (0, 0, 0, 0)
        for state in world.states {
            let user = state.shopper.userID
            for device in state.used {
                if let profile = found[state.shopper.devices[device].anonymousID] {
                    people[profile, default: []].insert(user)
                }
            }
            // Two devices on which the same person logged in are one person's; of others no call tells.
            let devices = state.loggedIn.sorted().map { found[state.shopper.devices[$0].anonymousID] }
            for (place, one) in devices.enumerated() {
                for other in devices[(place + 1)...] {
                    facts += 1
                    if one == other { right += 1 } else { missed += 1 }
                }
            }
        }
        wrong = people.values.count { $0.count > 1 }
        print(
            "seed \(seed): \(events.count) events, \(right) of \(facts) pairs found, \(wrong) people mixed up"
        )
        #expect(facts > 100)
        #expect(wrong == 0, "precision is 1")
        #expect(Double(missed) <= 0.01 * Double(facts), "recall is at least 0.99")
        #expect(Set(found.values).count == world.truth.profiles)
    }
}
