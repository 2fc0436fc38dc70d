import Models

/// Which identifiers of an observation are taken for one person's: from the strongest on each that fits the ones
/// before. What does not fit is let go, and said so on the timeline; the event still lands.
extension Resolver {
    /// The people that the identifiers so far lead to, and the new identifiers among them.
    private struct Gathered {
        var accepted: [Identifier] = []
        var roots: [ProfileID] = []
        var claims: [Identifier.Kind: Int] = [:]
    }

    /// The identifiers that are taken, the strongest first.
    mutating func admit(_ observation: Observation) -> [Identifier] {
        withheld += observation.refused
        var gathered = Gathered()
        if let corrected = observation.correcting { gathered.roots.append(root(of: corrected)) }
        var refusedOwners: [(identifier: Identifier, owner: ProfileID)] = []
        for (identifier, isExplicit) in observation.candidates where !gathered.accepted.contains(identifier) {
            if isSharedByTooMany(identifier) {
                withhold(identifier, "tooManyProfiles")
                continue
            }
            let root: ProfileID? = if let owner = owners[identifier] { root(of: owner) } else { nil }
            if let root, !gathered.roots.contains(root) {
                if let separation = separation(between: gathered.roots, and: root) {
                    changes.suppress(
                        separation.mergeID, at: observation.receivedAt,
                        cause: cause(of: observation, by: identifier.kind))
                    withhold(
                        identifier, "mergeUndone", ["mergeId": .string(separation.mergeID.description)])
                    continue
                }
                if let broken = limit(
                    brokenBy: root, gathered, observation, explicit: isExplicit ? identifier.kind : nil)
                {
                    withhold(identifier, "limit", broken)
                    refusedOwners.append((identifier, root))
                    continue
                }
                gathered.roots.append(root)
            } else if root == nil {
                if let broken = limit(brokenBy: identifier.kind, gathered, observation, isExplicit) {
                    withhold(identifier, "limit", broken)
                    continue
                }
                gathered.claims[identifier.kind, default: 0] += 1
            }
            gathered.accepted.append(identifier)
        }
        shared = refusedOwners.map(\.identifier)
        return gathered.accepted
    }

    private func separation(between roots: [ProfileID], and root: ProfileID) -> Separation? {
        for other in roots {
            if let separation = separation(between: other, and: root) { return separation }
        }
        return nil
    }

    private func isSharedByTooMany(_ identifier: Identifier) -> Bool {
        guard let most = policy.policy(of: identifier.kind)?.sharedBy, let count = shares[identifier] else {
            return false
        }
        return count >= most
    }

    private mutating func withhold(_ identifier: Identifier, _ reason: String, _ more: [String: JSON] = [:]) {
        var item: [String: JSON] = ["type": .string(identifier.kind.rawValue), "reason": .string(reason)]
        item.merge(more) { $1 }
        withheld.append(.object(item))
    }

    /// The limit that one person more would break. `explicit` is the type of the id that an alias call names them by.
    private func limit(
        brokenBy root: ProfileID, _ gathered: Gathered, _ observation: Observation,
        explicit: Identifier.Kind?
    ) -> [String: JSON]? {
        for kind in heldKinds(of: root) {
            // Who calls `alias` says that one person has two.
            if let explicit, kind == .userID || kind == explicit { continue }
            guard let type = policy.policy(of: kind), let limit = type.limit else { continue }
            let more = held(kind, by: root, type, observation.receivedAt)
            guard more > 0 else { continue }
            let there = gathered.roots.reduce(gathered.claims[kind] ?? 0) {
                $0 + held(kind, by: $1, type, observation.receivedAt)
            }
            // A person who holds too many already is no reason to stay apart from one who is nobody else yet.
            if there > 0, there + more > limit { return Self.broken(kind, limit) }
        }
        return nil
    }

    /// The limit that one identifier more would break.
    private func limit(
        brokenBy kind: Identifier.Kind, _ gathered: Gathered, _ observation: Observation, _ isExplicit: Bool
    ) -> [String: JSON]? {
        if isExplicit || observation.replacing.contains(kind) { return nil }
        guard let type = policy.policy(of: kind), let limit = type.limit else { return nil }
        let there = gathered.roots.reduce(gathered.claims[kind] ?? 0) {
            $0 + held(kind, by: $1, type, observation.receivedAt)
        }
        return there + 1 > limit ? Self.broken(kind, limit) : nil
    }

    private static func broken(_ kind: Identifier.Kind, _ limit: Int) -> [String: JSON] {
        ["limit": .integer(Int64(limit)), "of": .string(kind.rawValue)]
    }

    private func heldKinds(of root: ProfileID) -> [Identifier.Kind] {
        var kinds = holdings[root].map { Array($0.keys) } ?? []
        if profile(root)?.isKnown == true, holdings[root]?[.userID] == nil { kinds.append(.userID) }
        return kinds
    }

    /// How many of a type a person holds, as far as they count.
    private func held(
        _ kind: Identifier.Kind, by root: ProfileID, _ type: IdentifierPolicy, _ now: Instant
    ) -> Int {
        guard let seen = holdings[root]?[kind] else {
            return kind == .userID && profile(root)?.isKnown == true ? 1 : 0
        }
        guard let window = type.window else { return seen.count }
        return seen.count { $0 >= now - window }
    }
}
