package import Models

/// What one event, or one call of the API, says about who somebody is.
package struct Observation: Hashable, Sendable {
    /// Names the observation within its source; what is decided because of it is named after it.
    package var messageID: String
    package var sourceID: SourceID
    /// The profile itself, named by a trusted service; everything else is then beside the point.
    package var profileID: ProfileID?
    /// At most one of each kind, the strongest first: `userId`, e-mail, `anonymousId`. An address says more
    /// of a person than a device, which a family may share.
    package var identifiers: [Identifier]
    /// The other `userId` of the same person, which an alias call names.
    package var previousUserID: Identifier?
    /// The same text as an `anonymousId`, because the call doesn't say which it was.
    package var previousAnonymousID: Identifier?
    /// When the identifiers were seen.
    package var at: Instant
    package var receivedAt: Instant

    package init(
        messageID: String, sourceID: SourceID, profileID: ProfileID? = nil, identifiers: [Identifier],
        at: Instant, receivedAt: Instant
    ) {
        self.messageID = messageID
        self.sourceID = sourceID
        self.profileID = profileID
        self.identifiers = identifiers.sorted { Self.strength($0.kind) < Self.strength($1.kind) }
        self.at = at
        self.receivedAt = receivedAt
    }

    /// What an event says. An e-mail address comes from the traits of an identify call or, with any call,
    /// from `context.traits`.
    package init(_ event: TrackingEvent) {
        let ownEmail = event.kind == .identify ? event.traits["email"]?.string : nil
        let email =
            Identifier(.email, ownEmail) ?? Identifier(.email, event.context["traits"]?["email"]?.string)
        self.init(
            messageID: event.messageID, sourceID: event.sourceID, profileID: event.profileID,
            identifiers: [
                Identifier(.userID, event.userID), email, Identifier(.anonymousID, event.anonymousID),
            ].compactMap { $0 }, at: event.timestamp, receivedAt: event.receivedAt)
        if event.kind == .alias {
            previousUserID = Identifier(.userID, event.previousID)
            previousAnonymousID = Identifier(.anonymousID, event.previousID)
        }
    }

    /// Every identifier in it.
    package var allIdentifiers: [Identifier] {
        identifiers + [previousUserID, previousAnonymousID].compactMap { $0 }
    }

    /// The identifier of one kind.
    func identifier(_ kind: Identifier.Kind) -> Identifier? { identifiers.first { $0.kind == kind } }

    private static func strength(_ kind: Identifier.Kind) -> Int {
        switch kind {
        case .userID: 0
        case .email: 1
        case .anonymousID: 2
        }
    }
}
