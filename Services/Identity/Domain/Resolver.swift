package import Models

/// Decides who is meant: from the identifiers known so far to profiles, merges and facts.
///
/// A value over a snapshot of the rows that a batch of observations can touch, so that the whole batch is
/// decided in memory and written in one go. The rules:
///
/// - An identifier belongs to the profile that it led to first, for ever; merges join profiles, not rows.
/// - Identifiers seen together join their people, unless both already have a `userId`: then the event
///   goes to the owner of the strongest identifier, and the weaker stays where it was. So a person has one
///   `userId`, and no shared device or address ever joins two customers.
/// - An alias call joins two `userId`s, because the caller says so.
/// - Of two profiles the one with a `userId` survives, else the older.
/// - Two people whose merge was undone stay apart, whatever says otherwise, until an operator allows it.
package struct Resolver: Sendable {
    /// Where an observation led.
    package struct Placement: Hashable, Sendable {
        /// The canonical profile.
        package var profileID: ProfileID
        /// The profile that the observation's own identifiers lead to; a merge can be undone because it stays.
        package var arrivedUnder: ProfileID
        /// Whether it is new with this observation.
        package var created: Bool
    }

    /// What is to be written.
    package private(set) var changes = ResolverChanges()
    /// The facts of the batch in order.
    package private(set) var facts: [ProfileFact] = []

    private var owners: [Identifier: ProfileID]
    private var profiles: [ProfileID: ProfileState]
    private let separations: [Separation]
    private var resolved: Set<MessageKey> = []
    /// What the present observation says and was not taken, with the reasons.
    private var withheld: [JSON] = []

    private struct MessageKey: Hashable {
        var sourceID: SourceID
        var messageID: String
    }

    /// A snapshot: the owners of all identifiers that the batch names, and the profiles that these, and the
    /// batch itself, name, with those that they were merged into; and the undone merges of those people, with the
    /// profiles that they stood between.
    package init(
        owners: [Identifier: ProfileID], profiles: some Sequence<ProfileState>, separations: [Separation] = []
    ) {
        self.owners = owners
        self.separations = separations
        self.profiles = Dictionary(profiles.map { ($0.id, $0) }, uniquingKeysWith: { first, _ in first })
    }

    /// What is known of a profile after everything decided so far.
    package func profile(_ id: ProfileID) -> ProfileState? { profiles[id] }

    /// The canonical profile of a profile.
    package func root(of id: ProfileID) -> ProfileID {
        var id = id
        while let next = profiles[id]?.canonicalID, next != id { id = next }
        return id
    }

    /// Takes in one event: resolves it, keeps its traits, and appends its facts. Nil when it adds nothing: the
    /// same message once more, or something about a person who was erased.
    @discardableResult
    package mutating func resolve(_ event: TrackingEvent) throws(ResolutionError) -> Placement? {
        let key = MessageKey(sourceID: event.sourceID, messageID: event.messageID)
        guard !resolved.contains(key) else { return nil }
        withheld = []
        let placement = try resolve(Observation(event))
        resolved.insert(key)
        guard profiles[placement.profileID]?.isErased != true else { return nil }
        if event.kind == .identify { keepTraits(of: event, under: placement.arrivedUnder) }
        facts.append(
            .event(profileID: placement.profileID, arrivedUnder: placement.arrivedUnder, event: event))
        if !withheld.isEmpty {
            facts.append(
                .withheld(
                    profileID: placement.profileID, arrivedUnder: placement.arrivedUnder,
                    messageID: event.messageID, at: event.timestamp, items: withheld))
        }
        return placement
    }

    /// Finds, or makes, the profile that an observation means; appends the facts of merges alone.
    package mutating func resolve(_ observation: Observation) throws(ResolutionError) -> Placement {
        if let named = observation.profileID {
            guard profiles[named] != nil else { throw .unknownProfile(named) }
            return Placement(profileID: root(of: named), arrivedUnder: named, created: false)
        }
        guard !observation.identifiers.isEmpty else { throw .nobody }
        let found = home(of: observation)
        let home = found ?? create(because: observation)
        for identifier in observation.identifiers {
            join(identifier, to: home, because: observation, explicitly: false)
        }
        if let previous = observation.previousUserID {
            join(previous, to: home, because: observation, explicitly: true)
        }
        if let previous = observation.previousAnonymousID {
            join(previous, to: home, because: observation, explicitly: false)
        }
        return Placement(profileID: root(of: home), arrivedUnder: home, created: found == nil)
    }

    // MARK: The rules

    /// The profile that the identifiers already lead to: by the strongest that may decide.
    private func home(of observation: Observation) -> ProfileID? {
        guard let userID = observation.identifier(.userID) else {
            return observation.identifiers.lazy.compactMap { owners[$0] }.first
        }
        if let owner = owners[userID] { return owner }
        if let previous = observation.previousUserID, let owner = owners[previous] { return owner }
        // A new `userId` makes an anonymous person known; one who is known already is somebody else.
        let weaker = observation.identifiers.dropFirst() + [observation.previousAnonymousID].compactMap { $0 }
        return weaker.lazy.compactMap { owners[$0] }.first { profiles[root(of: $0)]?.isKnown == false }
    }

    private mutating func create(because observation: Observation) -> ProfileID {
        let id = ProfileID(
            UUIDv7.derived(
                at: observation.receivedAt, from: "profile", observation.sourceID.description,
                observation.messageID))
        profiles[id] = ProfileState(id: id, createdAt: observation.receivedAt)
        changes.created.append(id)
        changes.touch(id, at: observation.receivedAt)
        return id
    }

    private mutating func join(
        _ identifier: Identifier, to home: ProfileID, because observation: Observation, explicitly: Bool
    ) {
        guard let owner = owners[identifier] else {
            return claim(identifier, for: home, because: observation)
        }
        changes.see(identifier, at: observation.at)
        guard let ours = profiles[root(of: home)], let theirs = profiles[root(of: owner)],
            ours.id != theirs.id,
            explicitly || !(ours.isKnown && theirs.isKnown)
        else { return }
        let cause: JSON = [
            "kind": "event", "messageId": .string(observation.messageID),
            "sourceId": .string(observation.sourceID.description),
            "joinedBy": .string(identifier.kind.rawValue),
        ]
        if let separation = separation(between: ours.id, and: theirs.id) {
            changes.suppress(separation.mergeID, at: observation.receivedAt, cause: cause)
            withheld.append([
                "reason": "mergeUndone", "type": .string(identifier.kind.rawValue),
                "mergeId": .string(separation.mergeID.description),
            ])
            return
        }
        merge(
            Side(root: ours, member: home), Side(root: theirs, member: owner), at: observation.receivedAt,
            cause: cause
        ) { survivor, loser in
            MergeID(
                UUIDv7.derived(
                    at: observation.receivedAt, from: "merge", survivor.description, loser.description,
                    observation.sourceID.description, observation.messageID))
        }
    }

    private mutating func claim(
        _ identifier: Identifier, for home: ProfileID, because observation: Observation
    ) {
        owners[identifier] = home
        changes.claims[identifier] = ResolverChanges.Claim(
            profileID: home, seen: ResolverChanges.Seen(first: observation.at, last: observation.at))
        let root = root(of: home)
        if identifier.kind == .userID { profiles[root]?.isKnown = true }
        changes.touch(root, at: observation.receivedAt)
    }

    // MARK: Merging

    /// One of the two people that a merge joins.
    private struct Side {
        /// The canonical profile.
        var root: ProfileState
        /// The profile that the evidence names.
        var member: ProfileID
    }

    /// Joins the people of two profiles because a rule or an operator says so, not an event.
    @discardableResult
    package mutating func merge(
        _ left: ProfileID, with right: ProfileID, because order: MergeOrder
    ) throws(MergeRefusal) -> ResolverChanges.Merge {
        guard let ours = profiles[root(of: left)], profiles[left] != nil else { throw .unknownProfile(left) }
        guard let theirs = profiles[root(of: right)], profiles[right] != nil else { throw .unknownProfile(right) }
        for state in [ours, theirs] where state.isErased { throw .erased(state.id) }
        guard ours.id != theirs.id else { throw .alreadyOne(ours.id) }
        if !order.isExplicit, ours.isKnown, theirs.isKnown { throw .bothKnown }
        let undone = separations.filter { isBetween($0, ours.id, theirs.id) }
        if let first = undone.first, !order.isExplicit {
            changes.suppress(first.mergeID, at: order.at, cause: order.cause)
            throw .undone(first.mergeID)
        }
        changes.allowed += undone.map(\.mergeID)
        return merge(
            Side(root: ours, member: left), Side(root: theirs, member: right), at: order.at,
            cause: order.cause
        ) { _, _ in order.id }
    }

    @discardableResult
    private mutating func merge(
        _ left: Side, _ right: Side, at instant: Instant, cause: JSON,
        naming: (_ survivor: ProfileID, _ loser: ProfileID) -> MergeID
    ) -> ResolverChanges.Merge {
        let (survivor, loser) = left.root.survives(right.root) ? (left, right) : (right, left)
        let merge = ResolverChanges.Merge(
            id: naming(survivor.root.id, loser.root.id), survivor: survivor.root.id, merged: loser.root.id,
            survivorMember: survivor.member, mergedMember: loser.member, at: instant, cause: cause)
        profiles[merge.merged]?.canonicalID = merge.survivor
        profiles[merge.survivor]?.isKnown = left.root.isKnown || right.root.isKnown
        profiles[merge.survivor]?.isSeparated = left.root.isSeparated || right.root.isSeparated
        changes.merges.append(merge)
        changes.touch(merge.survivor, at: instant)
        facts.append(
            .merge(
                profileID: merge.survivor, merged: merge.merged, mergeID: merge.id, at: instant, cause: cause)
        )
        facts.append(
            .mergedInto(profileID: merge.merged, survivor: merge.survivor, mergeID: merge.id, at: instant))
        return merge
    }

    private func separation(between left: ProfileID, and right: ProfileID) -> Separation? {
        separations.first { isBetween($0, left, right) }
    }

    private func isBetween(_ separation: Separation, _ left: ProfileID, _ right: ProfileID) -> Bool {
        let ends = [root(of: separation.left), root(of: separation.right)]
        return ends == [left, right] || ends == [right, left]
    }

    // MARK: Traits

    /// Bytes of a trait's name. It is part of a key, and PostgreSQL's index takes no row of more than 2.7 KB; a
    /// longer one is in the timeline with its event, and nowhere else.
    package static let longestTraitName = 512

    /// Traits stay with the profile that they arrived under; readers fold those of a person's profiles.
    private mutating func keepTraits(of event: TrackingEvent, under id: ProfileID) {
        guard !event.traits.isEmpty else { return }
        let stamp = EffectiveTraits.Stamp(at: event.timestamp, messageID: event.messageID)
        for (name, value) in event.traits where name.utf8.count <= Self.longestTraitName {
            changes.write(
                ResolverChanges.TraitWrite(
                    entry: EffectiveTraits.Entry(value: value, stamp: stamp), sourceID: event.sourceID),
                to: ResolverChanges.TraitKey(profileID: id, name: name))
        }
        changes.touch(root(of: id), at: event.receivedAt)
    }
}

/// Why an observation leads to nobody.
package enum ResolutionError: Error, Hashable, Sendable {
    /// It holds no identifier.
    case nobody
    /// A service names a profile that doesn't exist.
    case unknownProfile(ProfileID)
}
