import IdentityDomain
import Models
import Testing

@Suite("What endpoints are told of a batch")
struct ProfileNoticeTests {
    private func notices(
        of events: [TrackingEvent], after earlier: [TrackingEvent] = []
    ) throws -> [ProfileNotice] {
        var people = RememberedPeople()
        for event in earlier {
            var resolver = people.resolver(for: [event])
            try resolver.resolve(event)
            people.take(resolver)
        }
        var resolver = people.resolver(for: events)
        for event in events { try resolver.resolve(event) }
        var before: [ProfileID: EffectiveTraits] = [:]
        for (id, traits) in people.effectiveTraits {
            before[resolver.root(of: id), default: .init()].merge(traits)
        }
        return ProfileNotice.all(of: resolver, traitsBefore: before)
    }

    @Test("many changes of a profile are one event, with the names of what has changed")
    func coalesced() throws {
        let told = try notices(
            of: (1...5).map { event($0, .identify, user: "u", traits: ["t\($0 % 2)": .integer(Int64($0))]) },
            after: [event(0, user: "u")])
        #expect(told.map(\.type) == [.updated])
        #expect(told.first?.traits == ["t0", "t1"])
        #expect(told.first?.identifierTypes == [])
    }

    @Test("a new profile is told of once, with its first traits and identifiers")
    func created() throws {
        let told = try notices(of: [
            event(0, user: "u"), event(1, .identify, user: "u", email: "a@x.org", traits: ["plan": "pro"]),
        ])
        #expect(told.map(\.type) == [.created])
        #expect(told.first?.traits == ["email", "plan"])
        #expect(told.first?.identifierTypes == ["email", "userId"])
    }

    @Test("nothing is told of what was known already, or was late")
    func unchanged() throws {
        let earlier = [event(50, .identify, user: "u", device: "d", traits: ["plan": "pro"])]
        #expect(try notices(of: [event(60, user: "u", device: "d")], after: earlier).isEmpty)
        let again = event(60, .identify, user: "u", traits: ["plan": "pro", "none": .null])
        #expect(try notices(of: [again], after: earlier).isEmpty)
        let late = event(61, .identify, user: "u", traits: ["plan": "free"], late: .minutes(5))
        #expect(try notices(of: [late], after: earlier).isEmpty)
    }

    @Test("a merge names the profile that leads to the other from now on")
    func merged() throws {
        let told = try notices(
            of: [event(9, user: "u", device: "d")], after: [event(0, device: "d"), event(1, user: "u")])
        #expect(told.map(\.type) == [.merged])
        #expect(told.first?.otherID != nil && told.first?.otherID != told.first?.profileID)
    }
}
