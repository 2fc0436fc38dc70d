import IdentityDomain
import Models
import Testing

@Suite("Merges as a projection of their edges")
struct MergeForestTests {
    private func profile(_ name: String) -> ProfileID { ProfileID(UUIDv7.derived(at: start, from: name)) }

    private func edge(_ number: Int64, _ stays: String, _ goes: String) -> MergeEdge {
        MergeEdge(
            id: MergeID(UUIDv7.derived(at: start, from: "merge", String(number))), ordinal: number,
            survivorMember: profile(stays), mergedMember: profile(goes))
    }

    @Test("without an edge each profile goes with the evidence that names it")
    func split() throws {
        // c was joined to b's evidence when a stood for b.
        let edges = [edge(1, "a", "b"), edge(2, "b", "c")]
        let members = ["a", "b", "c"].map(profile)
        #expect(members.allSatisfy { MergeForest(edges).root(of: $0) == profile("a") })
        let split = try #require(MergeSplit(undoing: edges[0].id, of: edges, members: members))
        #expect(split.remaining == profile("a"))
        #expect(split.split == profile("b"))
        #expect(split.members == ["b", "c"].map(profile).sorted())
        #expect(
            split.restated == [
                edges[1].id: MergeForest.Joint(survivor: profile("b"), merged: profile("c"))
            ])
    }

    @Test("the profile that was canonical stays so, on whichever side of the edge it is")
    func canonicalStays() throws {
        let edges = [edge(1, "a", "b"), edge(2, "c", "b")]
        let members = ["a", "b", "c"].map(profile)
        let split = try #require(MergeSplit(undoing: edges[0].id, of: edges, members: members))
        #expect(split.remaining == profile("c"))
        #expect(split.members == [profile("a")])
        #expect(MergeSplit(undoing: edge(3, "a", "c").id, of: edges, members: members) == nil)
    }

    @Test("an edge within one person joins nothing, so no circle can be closed")
    func circle() {
        let edges = [edge(1, "a", "b"), edge(2, "b", "c"), edge(3, "c", "a")]
        #expect(MergeForest(edges).joints[edges[2].id] == nil)
        #expect(MergeForest(edges).root(of: profile("c")) == profile("a"))
    }

    @Test("two people are not joined by a rule when both are known, were parted, or are one already")
    func refusals() throws {
        var resolver = Resolver(owners: [:], profiles: [])
        let one = try #require(try resolver.resolve(event(0, user: "u", device: "d"))).profileID
        let other = try #require(try resolver.resolve(event(1, user: "v"))).profileID
        let device = try #require(try resolver.resolve(event(2, device: "e"))).profileID
        func order(_ isExplicit: Bool) -> MergeOrder {
            MergeOrder(
                id: MergeID(UUIDv7.derived(at: start, from: "order")), cause: ["kind": "rule"], at: start,
                isExplicit: isExplicit)
        }
        #expect(throws: MergeRefusal.bothKnown) {
            try resolver.merge(one, with: other, because: order(false))
        }
        #expect(throws: MergeRefusal.alreadyOne(one)) {
            try resolver.merge(one, with: one, because: order(true))
        }
        let stranger = profile("stranger")
        #expect(throws: MergeRefusal.unknownProfile(stranger)) {
            try resolver.merge(stranger, with: one, because: order(true))
        }
        try resolver.merge(device, with: one, because: order(false))
        #expect(resolver.root(of: device) == one)
        try resolver.merge(one, with: other, because: order(true))
        #expect(resolver.root(of: other) == one)
    }
}
