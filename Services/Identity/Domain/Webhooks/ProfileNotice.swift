package import Models

/// Something about a profile that endpoints are told.
package struct ProfileNotice: Hashable, Sendable {
    package var type: WebhookEventType
    package var profileID: ProfileID
    /// Of a merge, the profile that was merged into `profileID`; when it is undone, the one that is on its own again.
    package var otherID: ProfileID?
    /// Names of the traits whose values have changed, sorted.
    package var traits: [String]
    /// Types of the identifiers that the person was not known by before, sorted.
    package var identifierTypes: [String]

    package init(
        _ type: WebhookEventType, of profileID: ProfileID, other otherID: ProfileID? = nil,
        traits: [String] = [], identifierTypes: [String] = []
    ) {
        self.type = type
        self.profileID = profileID
        self.otherID = otherID
        self.traits = traits
        self.identifierTypes = identifierTypes
    }

    /// What a batch comes to: the new profiles, then the merges, then one update of each profile that changed and is
    /// not new. `traitsBefore` are those of everyone who is one person after the batch, by canonical profile.
    package static func all(
        of resolver: Resolver, traitsBefore: [ProfileID: EffectiveTraits]
    ) -> [ProfileNotice] {
        let changes = resolver.changes
        let traits = changedTraits(of: resolver, before: traitsBefore)
        var types: [ProfileID: Set<String>] = [:]
        for (identifier, claim) in changes.claims {
            types[resolver.root(of: claim.profileID), default: []].insert(identifier.kind.rawValue)
        }
        func notice(_ type: WebhookEventType, of id: ProfileID) -> ProfileNotice {
            ProfileNotice(
                type, of: id, traits: traits[id].map { $0.sorted() } ?? [],
                identifierTypes: types[id].map { $0.sorted() } ?? [])
        }
        let created = Set(changes.created)
        let updated = Set(traits.keys).union(types.keys).subtracting(created).sorted()
        return changes.created.map { notice(.created, of: $0) }
            + changes.merges.map { ProfileNotice(.merged, of: $0.survivor, other: $0.merged) }
            + updated.map { notice(.updated, of: $0) }
    }

    /// By canonical profile. A trait written again with the value that it has is none.
    private static func changedTraits(
        of resolver: Resolver, before: [ProfileID: EffectiveTraits]
    ) -> [ProfileID: Set<String>] {
        var after = before
        for (key, write) in resolver.changes.traits {
            after[resolver.root(of: key.profileID), default: EffectiveTraits()].apply(
                write.entry, to: key.name)
        }
        var changed: [ProfileID: Set<String>] = [:]
        for (key, _) in resolver.changes.traits {
            let root = resolver.root(of: key.profileID)
            if before[root]?[key.name] != after[root]?[key.name] {
                changed[root, default: []].insert(key.name)
            }
        }
        return changed
    }
}
