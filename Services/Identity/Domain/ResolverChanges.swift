package import Models

/// Everything that a batch of observations changes, for the shell to write in one go.
package struct ResolverChanges: Sendable {
    /// A profile led to by an identifier for the first time.
    package struct Claim: Hashable, Sendable {
        package var profileID: ProfileID
        package var seen: Seen
    }

    /// The earliest and the latest time that an identifier was seen.
    package struct Seen: Hashable, Sendable {
        package var first: Instant
        package var last: Instant

        mutating func include(_ instant: Instant) {
            first = min(first, instant)
            last = max(last, instant)
        }
    }

    /// One profile merged into another, both canonical until then.
    package struct Merge: Hashable, Sendable {
        package var id: MergeID
        package var survivor: ProfileID
        package var merged: ProfileID
        /// The profile on the survivor's side that the evidence names; the edge stands between these two, so that
        /// undoing another merge leaves each where it belongs.
        package var survivorMember: ProfileID
        /// The profile on the other side.
        package var mergedMember: ProfileID
        package var at: Instant
        /// The event that told and the kind of identifier that joined the two, or the rule, or the operator.
        package var cause: JSON
    }

    /// Evidence for a merge that was undone.
    package struct Suppression: Hashable, Sendable {
        package var count: Int
        /// When it came last, and what it was.
        package var at: Instant
        package var cause: JSON
    }

    /// Where a trait is kept.
    package struct TraitKey: Hashable, Sendable {
        package var profileID: ProfileID
        package var name: String

        package init(profileID: ProfileID, name: String) {
            self.profileID = profileID
            self.name = name
        }
    }

    /// The latest value that the batch has for a trait; what is stored already may be later still, unless the entry has
    /// a history: then what was stored is in it.
    package struct TraitWrite: Hashable, Sendable {
        package var entry: EffectiveTraits.Entry
        package var sourceID: SourceID
    }

    /// Profiles that didn't exist.
    package internal(set) var created: [ProfileID] = []
    /// Identifiers that nobody was known by.
    package internal(set) var claims: [Identifier: Claim] = [:]
    /// Identifiers that were known, seen again.
    package internal(set) var sightings: [Identifier: Seen] = [:]
    /// In the order in which they were decided.
    package internal(set) var merges: [Merge] = []
    /// Merges that were undone and would have been made again.
    package internal(set) var suppressions: [MergeID: Suppression] = [:]
    /// Merges that were undone and may be made again from now on.
    package internal(set) var allowed: [MergeID] = []
    package internal(set) var accounts = AccountChanges()
    /// Identifiers that were seen with somebody else than whom they belong to, and with whom.
    package internal(set) var shares: [Identifier: Set<ProfileID>] = [:]
    package internal(set) var traits: [TraitKey: TraitWrite] = [:]
    /// Profiles whose identifiers, traits or merges have changed, with the time of the change.
    package internal(set) var touched: [ProfileID: Instant] = [:]

    package init() {}

    mutating func see(_ identifier: Identifier, at instant: Instant) {
        if claims[identifier] != nil {
            claims[identifier]?.seen.include(instant)
        } else {
            sightings[identifier, default: Seen(first: instant, last: instant)].include(instant)
        }
    }

    mutating func write(_ write: TraitWrite, to key: TraitKey, stored: EffectiveTraits.Entry? = nil) {
        guard var held = traits[key]?.entry ?? stored else {
            traits[key] = write
            return
        }
        guard held.merge(write.entry) || traits[key] == nil else { return }
        // Of a history the source of the value that holds; it may be another's.
        traits[key] = TraitWrite(
            entry: held, sourceID: held.history?.effective?.sourceID ?? write.sourceID)
    }

    mutating func suppress(_ id: MergeID, at instant: Instant, cause: JSON) {
        let count = (suppressions[id]?.count ?? 0) + 1
        suppressions[id] = Suppression(count: count, at: instant, cause: cause)
    }

    mutating func share(_ identifier: Identifier, with id: ProfileID) {
        shares[identifier, default: []].insert(id)
    }

    mutating func touch(_ id: ProfileID, at instant: Instant) {
        touched[id] = max(touched[id] ?? instant, instant)
    }
}
