import IdentityDomain
import Models

/// What the database holds, in memory: gives a resolver its snapshot, and takes in its changes as the SQL does.
struct RememberedPeople {
    private(set) var owners: [Identifier: ProfileID] = [:]
    private(set) var profiles: [ProfileID: ProfileState] = [:]
    private(set) var traits: [ProfileID: EffectiveTraits] = [:]
    private(set) var facts: [ProfileFact] = []
    /// Merges in the order in which they were made.
    private(set) var merges: [ResolverChanges.Merge] = []
    private(set) var undone: Set<MergeID> = []
    private(set) var allowed: Set<MergeID> = []
    private(set) var suppressed: [MergeID: Int] = [:]

    /// Only what the events can touch, as the store loads it.
    func resolver(for events: [TrackingEvent], policy: IdentityPolicy = .standard) -> Resolver {
        let observations = events.map { Observation($0, policy: policy) }
        let named = owners.filter { owner in observations.contains { $0.allIdentifiers.contains(owner.key) } }
        let ids = Set(named.values).union(observations.compactMap(\.profileID))
        let loaded = ids.compactMap { profiles[$0] }
        let roots = loaded.compactMap { profiles[$0.canonicalID] }
        let separations = merges.filter { undone.contains($0.id) && !allowed.contains($0.id) }
            .map { Separation(mergeID: $0.id, left: $0.survivorMember, right: $0.mergedMember) }
        let ends = separations.flatMap { [$0.left, $0.right] }.compactMap { profiles[$0] }
        var snapshot = Resolver.Snapshot()
        snapshot.owners = named
        snapshot.profiles = Array(Set(loaded + roots + ends))
        snapshot.separations = separations
        for id in ids {
            for name in policy.ruledTraits(of: events) {
                guard let entry = traits[id]?.entries[name] else { continue }
                snapshot.traits[ResolverChanges.TraitKey(profileID: id, name: name)] = entry
            }
        }
        for (identifier, owner) in owners where policy.policy(of: identifier.kind)?.limit != nil {
            guard let root = profiles[owner]?.canonicalID else { continue }
            snapshot.holdings[root, default: [:]][identifier.kind, default: []].append(start)
        }
        return Resolver(snapshot, policy: policy)
    }

    /// Takes back a merge, as the store does.
    mutating func undo(_ number: Int) {
        guard merges.indices.contains(number), undone.insert(merges[number].id).inserted else { return }
        let id = merges[number].id
        let edges = merges.enumerated().filter { !undone.contains($0.element.id) || $0.element.id == id }
            .map { place, merge in
                MergeEdge(
                    id: merge.id, ordinal: Int64(place), survivorMember: merge.survivorMember,
                    mergedMember: merge.mergedMember)
            }
        let root = profiles[merges[number].survivorMember]?.canonicalID
        let members = profiles.values.filter { $0.canonicalID == root }.map(\.id)
        let own = edges.filter { members.contains($0.survivorMember) }
        guard let split = MergeSplit(undoing: id, of: own, members: members) else { return }
        for member in split.members { profiles[member]?.canonicalID = split.split }
        for root in [split.remaining, split.split] {
            profiles[root]?.isSeparated = true
            let isKnown = owners.contains {
                $0.key.kind == .userID && profiles[$0.value]?.canonicalID == root
            }
            profiles[root]?.isKnown = isKnown
        }
        facts.append(
            .unmerge(
                profileID: split.remaining, split: split.split, members: split.members, mergeID: id,
                at: start,
                cause: [:]))
    }

    mutating func allow(_ number: Int) {
        guard merges.indices.contains(number), undone.contains(merges[number].id) else { return }
        allowed.insert(merges[number].id)
    }

    mutating func take(_ resolver: Resolver) {
        let changes = resolver.changes
        for id in changes.created { profiles[id] = resolver.profile(id) }
        for (identifier, claim) in changes.claims { owners[identifier] = claim.profileID }
        for merge in changes.merges {
            let root = resolver.root(of: merge.merged)
            for (id, state) in profiles where state.canonicalID == merge.merged {
                profiles[id]?.canonicalID = root
            }
        }
        for id in changes.touched.keys {
            profiles[id]?.isKnown = resolver.profile(id)?.isKnown ?? false
            profiles[id]?.isSeparated = resolver.profile(id)?.isSeparated ?? false
        }
        for (key, write) in changes.traits {
            if write.entry.history != nil {
                // As the store does: what was there is in it.
                traits[key.profileID, default: EffectiveTraits()].replace(write.entry, of: key.name)
            } else {
                traits[key.profileID, default: EffectiveTraits()].apply(write.entry, to: key.name)
            }
        }
        merges += changes.merges
        for (id, report) in changes.suppressions { suppressed[id, default: 0] += report.count }
        facts += resolver.facts
    }

    /// The traits of each person, folded over their profiles.
    var effectiveTraits: [ProfileID: EffectiveTraits] {
        var folded: [ProfileID: EffectiveTraits] = [:]
        for (id, held) in traits {
            folded[profiles[id]?.canonicalID ?? id, default: EffectiveTraits()].merge(held)
        }
        return folded
    }
}
