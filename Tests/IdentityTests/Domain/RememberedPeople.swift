import IdentityDomain
import Models

/// What the database holds, in memory: gives a resolver its snapshot, and takes in its changes as the SQL does.
struct RememberedPeople {
    private(set) var owners: [Identifier: ProfileID] = [:]
    private(set) var profiles: [ProfileID: ProfileState] = [:]
    private(set) var traits: [ProfileID: EffectiveTraits] = [:]
    private(set) var facts: [ProfileFact] = []

    /// Only what the events can touch, as the store loads it.
    func resolver(for events: [TrackingEvent]) -> Resolver {
        let observations = events.map { Observation($0) }
        let named = owners.filter { owner in observations.contains { $0.allIdentifiers.contains(owner.key) } }
        let ids = Set(named.values).union(observations.compactMap(\.profileID))
        let loaded = ids.compactMap { profiles[$0] }
        let roots = loaded.compactMap { profiles[$0.canonicalID] }
        return Resolver(owners: named, profiles: Set(loaded + roots))
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
        for id in changes.touched.keys { profiles[id]?.isKnown = resolver.profile(id)?.isKnown ?? false }
        for (key, write) in changes.traits {
            traits[key.profileID, default: EffectiveTraits()].apply(write.entry, to: key.name)
        }
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
