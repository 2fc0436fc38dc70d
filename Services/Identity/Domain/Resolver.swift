package import Models

/// Decides who is meant: from the identifiers known so far to profiles, merges and facts.
///
/// A value over a snapshot of the rows that a batch of observations can touch, so that the whole batch is
/// decided in memory and written in one go. The rules:
///
/// - An identifier belongs to the profile that it led to first, for ever; merges join profiles, not rows.
/// - Identifiers seen together join their people, from the strongest on as far as the policy lets one person hold
///   them all: one `userId`, five addresses. The event goes to the owner of the strongest identifier, and a weaker one
///   that doesn't fit stays where it was. So no shared device or address ever joins two customers.
/// - An alias call joins two `userId`s, or two ids of another system, because the caller says so.
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
    package internal(set) var changes = ResolverChanges()
    /// The facts of the batch in order.
    package private(set) var facts: [ProfileFact] = []

    let policy: IdentityPolicy
    var owners: [Identifier: ProfileID]
    /// By canonical profile, when each identifier of a type was seen last; of those that could come to hold more.
    var holdings: [ProfileID: [Identifier.Kind: [Instant]]]
    /// With how many other people an identifier was seen.
    let shares: [Identifier: Int]
    private var seen: [Identifier: ResolverChanges.Seen]
    private let storedTraits: [ResolverChanges.TraitKey: EffectiveTraits.Entry]
    private var profiles: [ProfileID: ProfileState]
    private var separations: [Separation]
    private var resolved: Set<MessageKey> = []
    /// What the present observation says and was not taken, with the reasons.
    package internal(set) var withheld: [JSON] = []
    /// The identifiers of the present observation that are somebody else's.
    var shared: [Identifier] = []

    private struct MessageKey: Hashable {
        var sourceID: SourceID
        var messageID: String
    }

    /// What a resolver has to know before it begins.
    package struct Snapshot: Sendable {
        /// The owners of all identifiers that the batch names.
        package var owners: [Identifier: ProfileID] = [:]
        /// The profiles that these, and the batch itself, name, with those that they were merged into.
        package var profiles: [ProfileState] = []
        /// The undone merges of those people; the profiles at their ends are among the profiles.
        package var separations: [Separation] = []
        /// When each identifier of a type was seen last, of the people who may come to hold more.
        package var holdings: [ProfileID: [Identifier.Kind: [Instant]]] = [:]
        /// With how many other people an identifier was seen.
        package var shares: [Identifier: Int] = [:]
        /// When each known identifier was seen; what is missing here is written as if it were not stored.
        package var seen: [Identifier: ResolverChanges.Seen] = [:]
        /// The traits with rules that the batch may write, as they are stored.
        package var traits: [ResolverChanges.TraitKey: EffectiveTraits.Entry] = [:]

        package init() {}
    }

    package init(_ snapshot: Snapshot, policy: IdentityPolicy = .standard) {
        self.policy = policy
        owners = snapshot.owners
        separations = snapshot.separations
        holdings = snapshot.holdings
        shares = snapshot.shares
        seen = snapshot.seen
        storedTraits = snapshot.traits
        profiles = Dictionary(
            snapshot.profiles.map { ($0.id, $0) }, uniquingKeysWith: { first, _ in first })
    }

    /// A resolver of the shipped policy over a few profiles.
    package init(
        owners: [Identifier: ProfileID], profiles: some Sequence<ProfileState>, separations: [Separation] = []
    ) {
        var snapshot = Snapshot()
        snapshot.owners = owners
        snapshot.profiles = Array(profiles)
        snapshot.separations = separations
        self.init(snapshot)
    }

    /// Goes on from what was decided, for those who write nothing of it.
    mutating func forgetWhatIsToBeWritten() {
        changes = ResolverChanges()
        facts = []
    }

    /// Keeps the people of two profiles apart from now on, as if a merge of theirs had been undone.
    mutating func keepApart(_ separation: Separation) {
        separations.append(separation)
        for end in [separation.left, separation.right] { profiles[root(of: end)]?.isSeparated = true }
    }

    /// What is known of a profile after everything decided so far.
    package func profile(_ id: ProfileID) -> ProfileState? { profiles[id] }

    /// The profile that an identifier leads to after everything decided so far.
    package func owner(of identifier: Identifier) -> ProfileID? { owners[identifier] }

    /// The canonical profile of a profile.
    package func root(of id: ProfileID) -> ProfileID {
        var id = id
        while let next = profiles[id]?.canonicalID, next != id { id = next }
        return id
    }

    /// Takes in one event: resolves it, keeps its traits, and appends its facts. Nil when it adds nothing: the
    /// same message once more, or something about a person who was erased.
    ///
    /// `observation` is what the event says by this policy, where the caller has read it already.
    @discardableResult
    package mutating func resolve(
        _ event: TrackingEvent, as observation: Observation? = nil
    ) throws(ResolutionError) -> Placement? {
        let key = MessageKey(sourceID: event.sourceID, messageID: event.messageID)
        guard !resolved.contains(key) else { return nil }
        let placement = try resolve(observation ?? Observation(event, policy: policy))
        resolved.insert(key)
        guard profiles[placement.profileID]?.isErased != true else { return nil }
        var event = event
        event.traitRules = policy.rules(for: event)
        if event.kind == .identify { keepTraits(of: event, under: placement.arrivedUnder) }
        if event.kind == .group, !changes.accounts.take(event, of: placement.arrivedUnder) {
            withheld.append(["type": "groupId", "reason": "shape"])
        }
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
        withheld = []
        if let named = observation.profileID {
            guard profiles[named] != nil else { throw .unknownProfile(named) }
            return Placement(profileID: root(of: named), arrivedUnder: named, created: false)
        }
        guard observation.isOfSomebody || !observation.allIdentifiers.isEmpty else { throw .nobody }
        let accepted = admit(observation)
        let found = firstOwner(of: accepted)
        let known = observation.correcting ?? found ?? observation.fallback
        let home = known ?? create(because: observation)
        for identifier in accepted { join(identifier, to: home, because: observation) }
        for identifier in shared { changes.share(identifier, with: root(of: home)) }
        return Placement(profileID: root(of: home), arrivedUnder: home, created: known == nil)
    }

    private func firstOwner(of identifiers: [Identifier]) -> ProfileID? {
        for identifier in identifiers {
            if let owner = owners[identifier] { return owner }
        }
        return nil
    }

    // MARK: The rules

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
        _ identifier: Identifier, to home: ProfileID, because observation: Observation
    ) {
        guard let owner = owners[identifier] else {
            return claim(identifier, for: home, because: observation)
        }
        changes.see(identifier, at: observation.at, stored: seen[identifier])
        renew(identifier, of: root(of: owner), at: observation.at)
        guard let ours = profiles[root(of: home)], let theirs = profiles[root(of: owner)],
            ours.id != theirs.id
        else { return }
        merge(
            Side(root: ours, member: home), Side(root: theirs, member: owner), at: observation.receivedAt,
            cause: cause(of: observation, by: identifier.kind)
        ) { survivor, loser in
            MergeID(
                UUIDv7.derived(
                    at: observation.receivedAt, from: "merge", survivor.description, loser.description,
                    observation.sourceID.description, observation.messageID))
        }
    }

    func cause(of observation: Observation, by kind: Identifier.Kind) -> JSON {
        [
            "kind": "event", "messageId": .string(observation.messageID),
            "sourceId": .string(observation.sourceID.description), "joinedBy": .string(kind.rawValue),
            "policy": .integer(policy.version),
        ]
    }

    /// What is seen again counts for a limit from now on, as it will once it is written.
    private mutating func renew(_ identifier: Identifier, of root: ProfileID, at instant: Instant) {
        let again = ResolverChanges.Seen(identifier.kind, at: instant)
        guard var known = seen[identifier], known.last < again.last else {
            return
        }
        if let place = holdings[root]?[identifier.kind]?.firstIndex(of: known.last) {
            holdings[root]?[identifier.kind]?[place] = again.last
        }
        known.include(again)
        seen[identifier] = known
    }

    private mutating func claim(
        _ identifier: Identifier, for home: ProfileID, because observation: Observation
    ) {
        owners[identifier] = home
        let first = ResolverChanges.Seen(identifier.kind, at: observation.at)
        seen[identifier] = first
        changes.claims[identifier] = ResolverChanges.Claim(profileID: home, seen: first)
        let root = root(of: home)
        if identifier.kind == .userID { profiles[root]?.isKnown = true }
        holdings[root, default: [:]][identifier.kind, default: []]
            .append(first.last)
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
        guard let theirs = profiles[root(of: right)], profiles[right] != nil else {
            throw .unknownProfile(right)
        }
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
        for (kind, seen) in holdings.removeValue(forKey: merge.merged) ?? [:] {
            holdings[merge.survivor, default: [:]][kind, default: []] += seen
        }
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

    /// The merge of two canonical profiles that was undone, and not allowed again.
    package func undoneMerge(between left: ProfileID, and right: ProfileID) -> MergeID? {
        separation(between: left, and: right)?.mergeID
    }

    func separation(between left: ProfileID, and right: ProfileID) -> Separation? {
        guard profiles[left]?.isSeparated == true || profiles[right]?.isSeparated == true else { return nil }
        return separations.first { isBetween($0, left, right) }
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
            let key = ResolverChanges.TraitKey(profileID: id, name: name)
            let rule = event.traitRules[name] ?? .latest
            let entry = EffectiveTraits.Entry(value: value, stamp: stamp, from: event.sourceID, by: rule)
            changes.write(
                ResolverChanges.TraitWrite(entry: entry, sourceID: event.sourceID), to: key,
                // What is stored is taken in where a rule needs it; else the later value is written over it.
                stored: rule == .latest ? nil : storedTraits[key])
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
