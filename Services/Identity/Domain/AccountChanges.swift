package import Models

/// What the group calls of a batch say: accounts, their traits, and who belongs to them.
package struct AccountChanges: Hashable, Sendable {
    /// A trait of an account.
    package struct TraitKey: Hashable, Sendable {
        package var groupID: String
        package var name: String
    }

    /// A profile that belongs to an account.
    package struct Member: Hashable, Sendable {
        package var groupID: String
        package var profileID: ProfileID
    }

    /// When each account was told of last.
    package private(set) var accounts: [String: Instant] = [:]
    package private(set) var traits: [TraitKey: ResolverChanges.TraitWrite] = [:]
    package private(set) var members: [Member: ResolverChanges.Seen] = [:]

    /// Bytes of a group's id.
    package static let longestID = AccountKnowledge.longestID

    package init() {}

    package var isEmpty: Bool { accounts.isEmpty }

    /// Takes in a group call of a profile. False where its id names no account.
    mutating func take(_ event: TrackingEvent, of profileID: ProfileID) -> Bool {
        guard let id = event.groupID, Self.isID(id) else { return false }
        // A sender's clock that is ahead must not outlast what others say later; segmentation has it so as well.
        let instant = min(event.timestamp, event.receivedAt)
        accounts[id] = max(accounts[id] ?? event.receivedAt, event.receivedAt)
        members[Member(groupID: id, profileID: profileID), default: .init(first: instant, last: instant)]
            .include(ResolverChanges.Seen(first: instant, last: instant))
        let stamp = EffectiveTraits.Stamp(at: instant, messageID: event.messageID)
        for (name, value) in event.traits where name.utf8.count <= Resolver.longestTraitName {
            let key = TraitKey(groupID: id, name: name)
            if let held = traits[key], held.entry.stamp >= stamp { continue }
            traits[key] = ResolverChanges.TraitWrite(
                entry: EffectiveTraits.Entry(value: value, stamp: stamp), sourceID: event.sourceID)
        }
        return true
    }

    package static func isID(_ text: String) -> Bool { AccountKnowledge.isID(text) }
}
