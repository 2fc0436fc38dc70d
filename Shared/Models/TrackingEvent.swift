/// What somebody did, as ingestion accepted it: one call of the Segment tracking API.
package struct TrackingEvent: Hashable, Sendable {
    /// The call that brought the event.
    package enum Kind: String, CaseIterable, Sendable, Codable {
        case identify, track, page, screen, group, alias
    }

    /// Unique within the source.
    package var messageID: String
    package var kind: Kind
    /// The event of a track call, the name of a page or screen.
    package var name: String?
    package var userID: String?
    package var anonymousID: String?
    /// The identifier that an alias call joins to `userID`.
    package var previousID: String?
    package var groupID: String?
    /// The profile itself, which only a caller with a service token may name.
    package var profileID: ProfileID?
    /// When it happened, corrected for the skew of the sender's clock.
    package var timestamp: Instant
    /// When it happened by the sender's clock.
    package var originalTimestamp: Instant?
    /// When it was sent by the sender's clock.
    package var sentAt: Instant?
    package var receivedAt: Instant
    package var sourceID: SourceID
    package var properties: [String: JSON]
    package var traits: [String: JSON]
    package var context: [String: JSON]
    /// How each trait goes together with what is known of it, where that isn't by the latest value: as the identity
    /// policy had it when the event was resolved.
    package var traitRules: [String: TraitRule] = [:]
    /// Where it stands in the timeline, for what is read from there; no part of its JSON form.
    package var position: TimelinePosition?
    /// The decision that it is, for one about consent, which stands among events where these are folded; no part of its
    /// JSON form, and nothing that a sender can say.
    package var consent: ConsentChange?
    /// What is known of the account of a group call, for who follows the calls of all its members; no part of its JSON form.
    package var account: AccountKnowledge?

    package init(
        messageID: String, kind: Kind, name: String? = nil, userID: String? = nil, anonymousID: String? = nil,
        previousID: String? = nil, groupID: String? = nil, profileID: ProfileID? = nil, timestamp: Instant,
        originalTimestamp: Instant? = nil, sentAt: Instant? = nil, receivedAt: Instant, sourceID: SourceID,
        properties: [String: JSON] = [:], traits: [String: JSON] = [:], context: [String: JSON] = [:]
    ) {
        self.messageID = messageID
        self.kind = kind
        self.name = name
        self.userID = userID
        self.anonymousID = anonymousID
        self.previousID = previousID
        self.groupID = groupID
        self.profileID = profileID
        self.timestamp = timestamp
        self.originalTimestamp = originalTimestamp
        self.sentAt = sentAt
        self.receivedAt = receivedAt
        self.sourceID = sourceID
        self.properties = properties
        self.traits = traits
        self.context = context
    }

    /// Reads the canonical form, which `json` writes. The name of a track call is called `event`, that of
    /// a page or screen `name`.
    package init(json: JSON, at path: String = "") throws(DecodingProblem) {
        let fields = try JSONFields(json, at: path)
        messageID = try fields.string("messageId")
        kind = try fields.choice("type")
        name = try fields.optionalString(kind.nameKey)
        userID = try fields.optionalString("userId")
        anonymousID = try fields.optionalString("anonymousId")
        previousID = try fields.optionalString("previousId")
        groupID = try fields.optionalString("groupId")
        profileID = try fields.optionalID("profileId")
        timestamp = try fields.instant("timestamp")
        originalTimestamp = try fields.optionalInstant("originalTimestamp")
        sentAt = try fields.optionalInstant("sentAt")
        receivedAt = try fields.instant("receivedAt")
        sourceID = try fields.id("sourceId")
        properties = try fields.objectIfPresent("properties")
        traits = try fields.objectIfPresent("traits")
        context = try fields.objectIfPresent("context")
        guard fields["traitRules"] != nil else { return }
        for (name, value) in try fields.objectIfPresent("traitRules") {
            guard let rule = value.string.flatMap({ TraitRule(text: $0) }) else {
                throw fields.problem("traitRules", expected: "rules of traits")
            }
            traitRules[name] = rule
        }
    }

    /// The canonical form, as the streams carry it; what is absent or empty is left out.
    package var json: JSON {
        var members: [String: JSON] = [
            "messageId": .string(messageID), "type": .string(kind.rawValue),
            "timestamp": .string(timestamp.rfc3339), "receivedAt": .string(receivedAt.rfc3339),
            "sourceId": .string(sourceID.description),
        ]
        members[kind.nameKey] = name.map { .string($0) }
        members["userId"] = userID.map { .string($0) }
        members["anonymousId"] = anonymousID.map { .string($0) }
        members["previousId"] = previousID.map { .string($0) }
        members["groupId"] = groupID.map { .string($0) }
        members["profileId"] = profileID.map { .string($0.description) }
        members["originalTimestamp"] = originalTimestamp.map { .string($0.rfc3339) }
        members["sentAt"] = sentAt.map { .string($0.rfc3339) }
        if !properties.isEmpty { members["properties"] = .object(properties) }
        if !traits.isEmpty { members["traits"] = .object(traits) }
        if !context.isEmpty { members["context"] = .object(context) }
        if !traitRules.isEmpty { members["traitRules"] = .object(traitRules.mapValues { .string($0.text) }) }
        return .object(members)
    }
}

extension TrackingEvent {
    /// What the raw log is ordered by: the sender's own name for who it was, so that the events of one person on one
    /// device keep their order. Identity knows people by these names, so an erasure finds what stands under them; where
    /// several people use one device, it says which of the events are whose.
    package var subjectKey: String {
        anonymousID ?? userID ?? profileID?.description ?? Identifier.external(in: context).first?.name
            ?? messageID
    }

    /// What tells it apart from all others.
    package var messageName: String { Self.messageName(sourceID, messageID) }

    /// What tells a message of a source apart from all others.
    package static func messageName(_ sourceID: SourceID, _ messageID: String) -> String {
        "\(sourceID) \(messageID)"
    }
}

extension TrackingEvent.Kind {
    fileprivate var nameKey: String { self == .track ? "event" : "name" }
}
