package import Models

/// What one event, or one call of the API, says about who somebody is.
package struct Observation: Hashable, Sendable {
    /// Names the observation within its source; what is decided because of it is named after it.
    package var messageID: String
    package var sourceID: SourceID
    /// The profile itself, named by a trusted service; everything else is then beside the point.
    package var profileID: ProfileID?
    /// The strongest first: `userId`, ids of other systems, e-mail, telephone, devices. An address says more of a
    /// person than a device, which a family may share.
    package var identifiers: [Identifier]
    /// The other `userId` of the same person, which an alias call names.
    package var previousUserID: Identifier?
    /// The same text as an `anonymousId`, because the call doesn't say which it was.
    package var previousAnonymousID: Identifier?
    /// Ids of other systems of which an alias call without a `previousId` says that they are one person's.
    package var joined: Set<Identifier> = []
    /// The profile that is meant where no identifier leads to one; without it there will be a new one.
    var fallback: ProfileID?
    /// The profile that the identifiers are added to, whoever else they might lead to: a correction names it.
    package var correcting: ProfileID?
    /// The types of which one was taken away by the same correction, so that there are no more of them than before.
    package var replacing: Set<Identifier.Kind> = []
    /// What was sent as an identifier and is none, with the reason of each.
    package var refused: [JSON] = []
    /// Whether the sender says of somebody that it was them, if only in a way that says nothing.
    package var isOfSomebody: Bool
    /// When the identifiers were seen.
    package var at: Instant
    package var receivedAt: Instant

    package init(
        messageID: String, sourceID: SourceID, profileID: ProfileID? = nil, identifiers: [Identifier],
        at: Instant, receivedAt: Instant, policy: IdentityPolicy = .standard
    ) {
        self.messageID = messageID
        self.sourceID = sourceID
        self.profileID = profileID
        self.identifiers = policy.inOrder(identifiers)
        isOfSomebody = !identifiers.isEmpty
        self.at = at
        self.receivedAt = receivedAt
    }

    /// What an event says, as the policy reads it.
    package init(_ event: TrackingEvent, policy: IdentityPolicy = .standard) {
        messageID = event.messageID
        sourceID = event.sourceID
        profileID = event.profileID
        at = event.timestamp
        receivedAt = event.receivedAt
        isOfSomebody =
            event.userID != nil || event.anonymousID != nil
            || !Identifier.external(in: event.context).isEmpty
        identifiers = []
        guard event.profileID == nil else { return }
        for type in policy.types {
            for field in type.fields {
                guard let value = field.value(in: event), !value.isNull else { continue }
                if take(value, as: type.kind, policy) != nil { break }
            }
        }
        let externalIDs = takeExternalIDs(event.context["externalIds"], policy)
        identifiers = policy.inOrder(identifiers)
        if event.kind == .alias, event.previousID == nil { joined = Set(externalIDs) }
        guard event.kind == .alias, let previous = event.previousID else { return }
        previousUserID = try? policy.identifier(.userID, previous)
        do {
            previousAnonymousID = try policy.identifier(.anonymousID, previous)
        } catch {
            if previousUserID == nil { refuse(.userID, because: error.reason) }
        }
    }

    /// Takes a value as an identifier; nil where it is none.
    private mutating func take(
        _ value: JSON, as kind: Identifier.Kind, _ policy: IdentityPolicy
    ) -> Identifier? {
        let text: String
        switch value {
        case .string(let string): text = string
        case .integer(let number): text = String(number)
        default:
            refuse(kind, because: "notText")
            return nil
        }
        // An empty text is how many senders say that there is none.
        guard !text.isEmpty else { return nil }
        do {
            let identifier = try policy.identifier(kind, text)
            if !identifiers.contains(identifier) { identifiers.append(identifier) }
            return identifier
        } catch {
            refuse(kind, because: error.reason)
            return nil
        }
    }

    /// Takes what `Identifier.external(in:)` finds, and says of the rest why it is nothing.
    private mutating func takeExternalIDs(_ list: JSON?, _ policy: IdentityPolicy) -> [Identifier] {
        guard let list = list?.array else { return [] }
        var taken: [Identifier] = []
        for item in list.prefix(Identifier.mostExternal) {
            guard let id = item["id"], let type = item["type"]?.string,
                let kind = Identifier.Kind(externalType: type)
            else { continue }
            // Those of accounts say nothing of the person.
            if let collection = item["collection"]?.string, collection != "users" { continue }
            if let encoding = item["encoding"]?.string, encoding != "none" {
                refuse(kind, because: "encoding")
                continue
            }
            if let identifier = take(id, as: kind, policy) { taken.append(identifier) }
        }
        if list.count > Identifier.mostExternal {
            refused.append(["reason": "tooMany", "field": "context.externalIds"])
        }
        return taken
    }

    private mutating func refuse(_ kind: Identifier.Kind, because reason: String) {
        refused.append(["type": .string(kind.rawValue), "reason": .string(reason)])
    }

    /// Lets go of what leads to people whom the sender is not; false where nothing does.
    mutating func withhold(leadingTo people: Set<ProfileID>, of resolver: Resolver) -> Bool {
        let leading = allIdentifiers.filter { identifier in
            resolver.owner(of: identifier).map { people.contains(resolver.root(of: $0)) } ?? false
        }
        withhold(leading, because: "mergeUndone")
        return !leading.isEmpty
    }

    /// Lets go of some of its identifiers, and says why.
    mutating func withhold(_ some: [Identifier], because reason: String) {
        for identifier in some { refuse(identifier.kind, because: reason) }
        identifiers.removeAll { some.contains($0) }
        joined.subtract(some)
        if let previous = previousUserID, some.contains(previous) { previousUserID = nil }
        if let previous = previousAnonymousID, some.contains(previous) { previousAnonymousID = nil }
    }

    /// Every identifier in it.
    package var allIdentifiers: [Identifier] {
        identifiers + [previousUserID, previousAnonymousID].compactMap { $0 }
    }

    /// The identifiers in the order in which they are heard. The one that an alias names comes second, because the
    /// caller says so.
    var candidates: [(identifier: Identifier, isExplicit: Bool)] {
        var candidates = identifiers.map { (identifier: $0, isExplicit: joined.contains($0)) }
        if let previousUserID {
            candidates.insert(
                (previousUserID, true), at: candidates.first?.identifier.kind == .userID ? 1 : 0)
        }
        if let previousAnonymousID { candidates.append((previousAnonymousID, false)) }
        return candidates
    }
}

extension IdentityPolicy {
    /// The identifiers from the strongest to the weakest.
    func inOrder(_ identifiers: [Identifier]) -> [Identifier] {
        guard identifiers.count > 1 else { return identifiers }
        return identifiers.enumerated()
            .map {
                (
                    priority: policy(of: $0.element.kind)?.priority ?? .max, place: $0.offset,
                    identifier: $0.element
                )
            }
            .sorted { ($0.priority, $0.place) < ($1.priority, $1.place) }
            .map(\.identifier)
    }
}
