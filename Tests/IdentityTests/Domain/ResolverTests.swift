import IdentityDomain
import Models
import Testing

@Suite("The resolver's rules")
struct ResolverTests {
    /// Resolves the events one by one and returns where each led.
    private func resolve(_ events: [TrackingEvent]) throws -> (Resolver, [Resolver.Placement]) {
        var resolver = Resolver(owners: [:], profiles: [])
        let placements = try events.compactMap { try resolver.resolve($0) }
        return (resolver, placements)
    }

    @Test("an anonymous visitor becomes known without a merge")
    func becomesKnown() throws {
        let (resolver, placed) = try resolve([
            event(0, device: "d"), event(1, .identify, user: "u", device: "d", email: " A@X.org "),
            event(2, user: "u"),
            event(3, email: "a@x.org"),
        ])
        #expect(Set(placed.map(\.profileID)).count == 1)
        #expect(placed.map(\.created) == [true, false, false, false])
        #expect(resolver.changes.merges.isEmpty)
    }

    @Test("a device that was anonymous is merged into the known person, who survives although younger")
    func mergesAnonymous() throws {
        let (resolver, placed) = try resolve([
            event(0, device: "phone"), event(1, user: "u", device: "laptop"),
            event(2, user: "u", device: "phone"),
            event(3, device: "phone"),
        ])
        let merge = try #require(resolver.changes.merges.first)
        #expect(resolver.changes.merges.count == 1)
        #expect(merge.survivor == placed[1].profileID)
        #expect(merge.merged == placed[0].profileID)
        #expect(merge.cause["joinedBy"] == "anonymousId")
        // The event arrives where its own identifier leads, so that the merge can be undone.
        #expect(placed[3].profileID == placed[1].profileID)
        #expect(placed[3].arrivedUnder == placed[0].profileID)
    }

    @Test(
        "contacts of a CRM are one person when it says so, also where each has a userId, and by no address else"
    )
    func mergedContacts() throws {
        let contacts = (0..<7).map { "c\($0)" }
        let known = contacts.enumerated().map { number, contact in
            event(number, user: "u\(number)", contacts: [contact])
        }
        let (apart, _) = try resolve(known + [event(20, contacts: ["c0", "c1"])])
        #expect(apart.changes.merges.isEmpty)
        // More of them than a profile may hold otherwise: they were merged one after the other.
        let (resolver, placed) = try resolve(
            known
                + contacts.dropFirst().enumerated().map { number, contact in
                    event(20 + number, .alias, contacts: ["c0", contact])
                } + [event(40, contacts: ["c6"]), event(41, user: "u3")])
        #expect(resolver.changes.merges.count == 6)
        #expect(resolver.changes.merges.allSatisfy { $0.cause["joinedBy"] == "crm:contact" })
        #expect(Set(placed.dropFirst(7).map(\.profileID)) == [placed[0].profileID])
    }

    @Test("who is named by nothing but what says nothing is somebody, whom nobody else is")
    func nothingSaid() throws {
        let (resolver, placed) = try resolve([event(0, contacts: ["0"]), event(1, contacts: ["0"])])
        #expect(Set(placed.map(\.profileID)).count == 2 && resolver.changes.claims.isEmpty)
    }

    @Test("of two anonymous profiles the older survives")
    func olderSurvives() throws {
        let (resolver, placed) = try resolve([
            event(0, device: "a"), event(1, email: "e@x.org"), event(2, device: "a", email: "e@x.org"),
        ])
        #expect(resolver.changes.merges.map(\.survivor) == [placed[0].profileID])
    }

    @Test("two customers are never joined by a shared device or address, and the device stays with the first")
    func sharedDevice() throws {
        let (resolver, placed) = try resolve([
            event(0, user: "anna", device: "family", email: "us@x.org"),
            event(1, user: "ben", device: "family", email: "us@x.org"), event(2, user: "ben"),
            event(3, device: "family"), event(4, email: "us@x.org"),
        ])
        #expect(resolver.changes.merges.isEmpty)
        #expect(placed[1].profileID != placed[0].profileID)
        #expect(placed[2].profileID == placed[1].profileID)
        #expect(placed[3].profileID == placed[0].profileID)
        #expect(placed[4].profileID == placed[0].profileID)
    }

    @Test("without a userId the address decides over the device")
    func addressOverDevice() throws {
        let (resolver, placed) = try resolve([
            event(0, user: "anna", device: "family"), event(1, user: "ben", email: "ben@x.org"),
            event(2, device: "family", email: "ben@x.org"),
        ])
        #expect(resolver.changes.merges.isEmpty)
        #expect(placed[2].profileID == placed[1].profileID)
    }

    @Test("an alias joins two customers, and whatever the previous id does later")
    func alias() throws {
        let (resolver, placed) = try resolve([
            event(0, user: "old"), event(1, user: "new"), event(2, .alias, user: "new", previous: "old"),
            event(3, user: "old"), event(4, .alias, user: "new", previous: "never-seen"),
            event(5, device: "never-seen"), event(6, user: "never-seen"),
        ])
        #expect(resolver.changes.merges.map(\.survivor) == [placed[0].profileID])
        #expect(Set(placed[2...].map(\.profileID)) == [placed[0].profileID])
    }

    @Test("an alias of somebody else's device joins nobody")
    func aliasOfForeignDevice() throws {
        let (resolver, placed) = try resolve([
            event(0, user: "anna", device: "d"), event(1, user: "ben"),
            event(2, .alias, user: "ben", previous: "d"), event(3, device: "d"),
        ])
        #expect(resolver.changes.merges.isEmpty)
        #expect(placed[3].profileID == placed[0].profileID)
    }

    @Test("a message met twice in a batch counts once")
    func duplicate() throws {
        let (resolver, placed) = try resolve([
            event(0, device: "d"), event(0, device: "d"), event(1, device: "d"),
        ])
        #expect(placed.count == 2)
        #expect(resolver.facts.count == 2)
    }

    @Test("a profile named by a service decides alone, and a merged one leads to the survivor")
    func named() throws {
        let (first, placed) = try resolve([
            event(0, device: "a"), event(1, user: "u", device: "b"), event(2, user: "u", device: "a"),
        ])
        var resolver = first
        let outcome = try resolver.resolve(event(3, user: "somebody-else", profile: placed[0].profileID))
        #expect(outcome?.profileID == placed[1].profileID)
        #expect(outcome?.arrivedUnder == placed[0].profileID)
        #expect(resolver.changes.claims.keys.allSatisfy { $0.value != "somebody-else" })
    }

    @Test(
        "of an event that a service names the profile of nothing is withheld, whatever was of the one before")
    func namedAfterWithheld() throws {
        let (first, placed) = try resolve([event(0, user: "anna", device: "family")])
        var resolver = first
        _ = try resolver.resolve(event(1, user: "ben", device: "family"))
        #expect(resolver.withheld.count == 1)
        _ = try resolver.resolve(event(2, profile: placed[0].profileID))
        #expect(resolver.withheld.isEmpty)
        #expect(resolver.facts.count { $0.kind == .withheld } == 1)
    }

    @Test("a trait with a name too long for a key stays in the timeline alone")
    func longTraitName() throws {
        let name = String(repeating: "x", count: Resolver.longestTraitName + 1)
        let (resolver, _) = try resolve([event(0, .identify, user: "u", traits: [name: 1, "plan": "pro"])])
        #expect(resolver.changes.traits.keys.map(\.name) == ["plan"])
        #expect(resolver.facts.count == 1)
    }

    @Test("an event that leads to nobody is refused, and leaves no trace")
    func nobody() throws {
        var resolver = Resolver(owners: [:], profiles: [])
        let stranger = ProfileID(UUIDv7.derived(at: start, from: "stranger"))
        #expect(throws: ResolutionError.nobody) { try resolver.resolve(event(0, email: "no address")) }
        #expect(throws: ResolutionError.unknownProfile(stranger)) {
            try resolver.resolve(event(1, profile: stranger))
        }
        #expect(resolver.facts.isEmpty && resolver.changes.created.isEmpty)
    }

    @Test("nothing more is kept about a person who was erased")
    func erased() throws {
        let id = ProfileID(UUIDv7.derived(at: start, from: "erased"))
        var resolver = Resolver(
            owners: [:], profiles: [ProfileState(id: id, createdAt: start, isErased: true)])
        #expect(try resolver.resolve(event(0, profile: id)) == nil)
        #expect(resolver.facts.isEmpty)
    }
}
