package import Models

/// An edge between two profiles that belong to one person.
package struct MergeEdge: Hashable, Sendable {
    package var id: MergeID
    /// The order in which the merges were decided.
    package var ordinal: Int64
    /// The profile that the evidence names, of the person whose canonical profile stayed.
    package var survivorMember: ProfileID
    /// The one of the other person.
    package var mergedMember: ProfileID

    package init(id: MergeID, ordinal: Int64, survivorMember: ProfileID, mergedMember: ProfileID) {
        self.id = id
        self.ordinal = ordinal
        self.survivorMember = survivorMember
        self.mergedMember = mergedMember
    }
}

/// Who is one person, as a projection of the edges that stand: nothing else decides which profile is canonical.
///
/// Edges are taken in the order of their decision. Each joins the people of its two profiles, and the canonical
/// profile is the one of the side that survived then. Without an edge that was undone the others say what they
/// always said, so each profile goes with the evidence that names it.
package struct MergeForest: Sendable {
    /// The canonical profiles that an edge joined.
    package struct Joint: Hashable, Sendable {
        package var survivor: ProfileID
        package var merged: ProfileID

        package init(survivor: ProfileID, merged: ProfileID) {
            self.survivor = survivor
            self.merged = merged
        }
    }

    /// What each edge joined; an edge inside one person joined nothing.
    package private(set) var joints: [MergeID: Joint] = [:]
    private var parents: [ProfileID: ProfileID] = [:]

    package init(_ edges: some Sequence<MergeEdge>) {
        for edge in edges.sorted(by: { $0.ordinal < $1.ordinal }) {
            let joint = Joint(survivor: root(of: edge.survivorMember), merged: root(of: edge.mergedMember))
            guard joint.survivor != joint.merged else { continue }
            parents[joint.merged] = joint.survivor
            joints[edge.id] = joint
        }
    }

    /// The canonical profile of a profile.
    package func root(of id: ProfileID) -> ProfileID {
        var id = id
        while let parent = parents[id] { id = parent }
        return id
    }
}

/// What undoing a merge makes of one person: two.
package struct MergeSplit: Hashable, Sendable {
    /// The profile that was canonical and stays so.
    package var remaining: ProfileID
    /// The canonical profile of who is somebody else again.
    package var split: ProfileID
    /// Every profile that goes with `split`, itself too.
    package var members: [ProfileID]
    /// Edges that join other canonical profiles than they did.
    package var restated: [MergeID: MergeForest.Joint]

    /// Takes out one of the edges that hold a person's profiles together; nil if it is none of them.
    package init?(undoing id: MergeID, of edges: [MergeEdge], members: [ProfileID]) {
        guard let edge = edges.first(where: { $0.id == id }) else { return nil }
        let before = MergeForest(edges)
        let after = MergeForest(edges.filter { $0.id != id })
        let root = before.root(of: edge.survivorMember)
        let ends = [edge.survivorMember, edge.mergedMember].map { after.root(of: $0) }
        guard let other = ends.first(where: { $0 != root }), ends.contains(root) else { return nil }
        remaining = root
        split = other
        self.members = members.filter { after.root(of: $0) == other }.sorted()
        restated = after.joints.filter { before.joints[$0.key] != $0.value }
    }
}
