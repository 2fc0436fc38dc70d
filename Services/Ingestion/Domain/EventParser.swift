package import Foundation
package import Models

/// Turns one item, as it came over the wire, into an event, or says why not.
package struct EventParser: Sendable {
    /// What is known about an item from around it.
    package struct Envelope: Sendable {
        package var sourceID: SourceID
        package var receivedAt: Instant
        package var sentAt: Instant?
        /// What holds for each item that doesn't say otherwise.
        package var context: [String: JSON]
        /// The kind that the path says; nil where the item says it.
        package var kind: TrackingEvent.Kind?
        /// Whether the sender may name a profile by its id: services of the installation only.
        package var mayNameProfile: Bool
        /// Whether the browser says that data is not to be sold or shared (`Sec-GPC: 1`).
        package var globalPrivacyControl = false

        package init(
            sourceID: SourceID, receivedAt: Instant, sentAt: Instant? = nil, context: [String: JSON] = [:],
            kind: TrackingEvent.Kind? = nil, mayNameProfile: Bool = false, globalPrivacyControl: Bool = false
        ) {
            self.sourceID = sourceID
            self.receivedAt = receivedAt
            self.sentAt = sentAt
            self.context = context
            self.kind = kind
            self.mayNameProfile = mayNameProfile
            self.globalPrivacyControl = globalPrivacyControl
        }
    }

    let limits: IngestionLimits
    let mendsTime: Bool
    private let freshID: @Sendable (Instant) -> UUID

    /// With `mendsTime`, an event happened when it came where what it says can't be. `freshID` makes an id that nothing
    /// else has, of the given time.
    package init(
        limits: IngestionLimits, mendsTime: Bool = false,
        freshID: @escaping @Sendable (Instant) -> UUID = { UUIDv7.make(at: $0) }
    ) {
        self.limits = limits
        self.mendsTime = mendsTime
        self.freshID = freshID
    }

    /// The event that an item stands for.
    ///
    /// An item without a messageId gets one. If it says when it happened, the id is derived from its bytes and the
    /// source, so that sending the same bytes again is a repetition; without a time, two equal items are two events,
    /// and each gets an id of its own.
    package func parse(
        _ item: ArraySlice<UInt8>, in envelope: Envelope
    ) throws(Refusal) -> TrackingEvent {
        guard item.count <= limits.itemBytes else {
            throw Refusal(.tooLarge, "an item may have at most \(limits.itemBytes) bytes")
        }
        let fields = try fields(of: item)
        let kind = try kind(fields, envelope)
        let ownTime = try time("timestamp", fields)
        let original = try time("originalTimestamp", fields) ?? ownTime
        let sentAt = try time("sentAt", fields) ?? envelope.sentAt
        guard
            let timestamp = EventTime.corrected(
                original: original, sentAt: sentAt, receivedAt: envelope.receivedAt)
                ?? (mendsTime ? envelope.receivedAt : nil)
        else { throw Refusal(.absurdTime, "the time of the event lies before 1970") }

        var event = TrackingEvent(
            messageID: "", kind: kind, userID: try identifier("userId", fields),
            anonymousID: try identifier("anonymousId", fields),
            previousID: try identifier("previousId", fields), groupID: try identifier("groupId", fields),
            timestamp: timestamp, originalTimestamp: original, sentAt: sentAt,
            receivedAt: envelope.receivedAt,
            sourceID: envelope.sourceID, properties: try object("properties", fields),
            traits: try object("traits", fields), context: try object("context", fields))
        event.context.merge(envelope.context) { own, _ in own }
        if envelope.globalPrivacyControl {
            var consent = event.context["consent"]?.object ?? [:]
            consent["globalPrivacyControl"] = true
            event.context["consent"] = .object(consent)
        }
        event.name = try name(fields, kind)
        if envelope.mayNameProfile { event.profileID = try profile(fields) }
        if let category = fields["category"], kind == .page || kind == .screen,
            event.properties["category"] == nil
        {
            event.properties["category"] = category
        }
        try requireSubject(event)
        let ownID = try identifier("messageId", fields)
        event.messageID = ownID ?? messageID(for: item, original, envelope)
        return event
    }

    /// What can be read of an item that can't be accepted, for its verdict and for finding it again.
    package func hints(of item: ArraySlice<UInt8>) -> ItemHints {
        guard let members = try? JSONParser.members(of: item) else { return ItemHints() }
        func text(_ name: String) -> String? {
            guard let text = members.last(where: { $0.key == name })?.value,
                text.count <= limits.nameBytes * 6 + 2, let value = try? JSONParser.parse(text).string,
                !value.isEmpty, value.utf8.count <= limits.nameBytes
            else { return nil }
            return value
        }
        func identifier(_ name: String) -> String? {
            text(name).flatMap { $0.utf8.count <= limits.identifierBytes ? $0 : nil }
        }
        let context = members.last { $0.key == "context" && $0.value.count <= limits.itemBytes }
            .flatMap { try? JSONParser.parse($0.value).object }
        return ItemHints(
            messageID: identifier("messageId"),
            subjects: ["anonymousId", "userId", "previousId"].compactMap(identifier)
                + Identifier.external(in: context ?? [:]).map(\.name),
            event: text("event") ?? text("name"))
    }

    private func messageID(
        for item: ArraySlice<UInt8>, _ original: Instant?, _ envelope: Envelope
    ) -> String {
        let id =
            if let original {
                UUIDv7.derived(
                    at: original, from: envelope.sourceID.description, String(decoding: item, as: UTF8.self))
            } else {
                freshID(envelope.receivedAt)
            }
        return id.hyphenated
    }
}

/// What can be read of an item that can't be accepted.
package struct ItemHints: Hashable, Sendable {
    package var messageID: String?
    /// The names that it gives somebody.
    package var subjects: [String] = []
    /// The name of the event, page or screen.
    package var event: String?

    package init(messageID: String? = nil, subjects: [String] = [], event: String? = nil) {
        self.messageID = messageID
        self.subjects = subjects
        self.event = event
    }
}

// MARK: - Members

extension EventParser {
    private func fields(of item: ArraySlice<UInt8>) throws(Refusal) -> JSONFields {
        let json: JSON
        do {
            json = try JSONParser.parse(item, limits: .init(maxDepth: limits.depth))
        } catch {
            throw Refusal(error)
        }
        do {
            return try JSONFields(json)
        } catch {
            throw Refusal(.malformed, "an item must be an object, found \(json.kind)")
        }
    }

    private func kind(_ fields: JSONFields, _ envelope: Envelope) throws(Refusal) -> TrackingEvent.Kind {
        if let kind = envelope.kind { return kind }
        guard fields["type"] != nil else { throw Refusal(.missing, "type says which call an item is") }
        do { return try fields.choice("type") } catch { throw Refusal(.invalid, error.message) }
    }

    /// An identifier; numbers are taken as their digits, because shops number their customers, and an empty one is as
    /// good as none.
    private func identifier(_ key: String, _ fields: JSONFields) throws(Refusal) -> String? {
        guard let value = fields[key] else { return nil }
        guard let text = value.string ?? value.integer.map({ String($0) }) else {
            throw Refusal(.invalid, "\(key) must be a string, found \(value.kind)")
        }
        guard text.utf8.count <= limits.identifierBytes else {
            throw Refusal(.invalid, "\(key) may have at most \(limits.identifierBytes) bytes")
        }
        return text.isEmpty ? nil : text
    }

    private func name(_ fields: JSONFields, _ kind: TrackingEvent.Kind) throws(Refusal) -> String? {
        let key: String
        switch kind {
        case .track: key = "event"
        case .page, .screen: key = "name"
        case .identify, .group, .alias: return nil
        }
        guard let value = fields[key] else {
            if kind == .track { throw Refusal(.missing, "a track call must name its event") }
            return nil
        }
        guard let name = value.string else {
            throw Refusal(.invalid, "\(key) must be a string, found \(value.kind)")
        }
        guard name.utf8.count <= limits.nameBytes else {
            throw Refusal(.invalid, "\(key) may have at most \(limits.nameBytes) bytes")
        }
        if kind == .track, name.isEmpty { throw Refusal(.missing, "a track call must name its event") }
        return name.isEmpty ? nil : name
    }

    private func object(_ key: String, _ fields: JSONFields) throws(Refusal) -> [String: JSON] {
        do { return try fields.objectIfPresent(key) } catch { throw Refusal(.invalid, error.message) }
    }

    private func time(_ key: String, _ fields: JSONFields) throws(Refusal) -> Instant? {
        guard let value = fields[key] else { return nil }
        guard let text = value.string else {
            throw Refusal(.invalid, "\(key) must be an RFC 3339 time, found \(value.kind)")
        }
        guard let time = Instant(rfc3339: text) else {
            if mendsTime { return nil }
            throw Refusal(.invalid, "\(key) must be an RFC 3339 time such as 2026-11-21T02:33:00.000Z")
        }
        return time
    }

    private func profile(_ fields: JSONFields) throws(Refusal) -> ProfileID? {
        do { return try fields.optionalID("profileId") } catch { throw Refusal(.invalid, error.message) }
    }

    /// An event without anybody who did it is of no use to anyone.
    private func requireSubject(_ event: TrackingEvent) throws(Refusal) {
        let externalIDs = Identifier.external(in: event.context)
        guard
            event.userID != nil || event.anonymousID != nil || event.profileID != nil || !externalIDs.isEmpty
        else {
            throw Refusal(.missing, "userId, anonymousId or context.externalIds must say who it was")
        }
        let joinsExternalIDs = event.previousID == nil && externalIDs.count > 1
        if event.kind == .alias, event.previousID == nil || event.userID == nil, !joinsExternalIDs {
            throw Refusal(
                .missing, "an alias call must have previousId and userId, or two ids in context.externalIds")
        }
        if event.kind == .group, event.groupID == nil {
            throw Refusal(.missing, "a group call must have a groupId")
        }
    }
}

extension Refusal {
    init(_ error: JSONError) {
        switch error.kind {
        case .syntax, .trailingContent: self.init(.malformed, error.description)
        case .tooDeep: self.init(.tooDeep, error.description)
        case .nul, .loneSurrogate, .invalidUTF8, .numberRange: self.init(.unstorable, error.description)
        }
    }
}
