package import Models

/// Everything that a batch of observations changes, for the shell to write in one go.
package struct ResolverChanges: Sendable {
    /// A profile led to by an identifier for the first time.
    package struct Claim: Hashable, Sendable {
        package var profileID: ProfileID
        package var seen: Seen
    }

    /// The earliest and the latest time that an identifier was seen.
    ///
    /// What senders name with every event, a `userId` or an `anonymousId`, is last seen in an hour, not at an instant:
    /// else every event would have to write to the identifier that it names. The hour may begin before `first`.
    package struct Seen: Hashable, Sendable {
        package var first: Instant
        package var last: Instant

        package init(first: Instant, last: Instant) {
            self.first = first
            self.last = last
        }

        /// Seen once.
        package init(_ kind: Identifier.Kind, at instant: Instant) {
            self.init(first: instant, last: Self.mark(kind, at: instant))
        }

        /// What is kept of when an identifier was seen last.
        package static func mark(_ kind: Identifier.Kind, at instant: Instant) -> Instant {
            guard kind == .userID || kind == .anonymousID else { return instant }
            let milliseconds = instant.milliseconds
            let rest = milliseconds % 3_600_000
            return Instant(milliseconds: milliseconds - (rest < 0 ? rest + 3_600_000 : rest))
        }

        mutating func include(_ other: Seen) {
            first = min(first, other.first)
            last = max(last, other.last)
        }

        /// Whether the other says nothing new.
        func covers(_ other: Seen) -> Bool { first <= other.first && last >= other.last }
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

    /// `stored` is what the database has of a known identifier.
    mutating func see(_ identifier: Identifier, at instant: Instant, stored: Seen?) {
        let seen = Seen(identifier.kind, at: instant)
        if claims[identifier] != nil {
            claims[identifier]?.seen.include(seen)
        } else if stored?.covers(seen) != true {
            sightings[identifier, default: seen].include(seen)
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
