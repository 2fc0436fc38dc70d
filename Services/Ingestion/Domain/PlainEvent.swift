package import Models

/// An event whose stored form was put together from the text that came, without taking its values apart: what most
/// events allow, at a fraction of the cost.
///
/// Where there is one, `EventParser` accepts the item, and its event has the same stored form, up to how the values
/// within `properties`, `traits` and `context` are written. Where there is none, the parser decides.
package struct PlainEvent: Sendable {
    package let kind: TrackingEvent.Kind
    package let messageID: String
    /// The name of a track call.
    package let event: String?
    /// What the raw log is ordered by, as `TrackingEvent.subjectKey`.
    package let subjectKey: String
    package let userID: String?
    package let anonymousID: String?
    package let timestamp: Instant
    /// Whether these two ids are all that it says of who it was, and of where, and of consent: it has no traits, and its
    /// context none, no other ids, no device, no place and no choices.
    package let saysIDsAlone: Bool
    /// The stored form, JSON in UTF-8.
    package let text: [UInt8]
}

extension EventParser {
    /// The event, where its text can be taken over; nil says nothing about the item.
    package func plain(_ item: ArraySlice<UInt8>, in envelope: Envelope) -> PlainEvent? {
        guard envelope.context.isEmpty, !envelope.globalPrivacyControl, !mendsTime,
            item.count <= limits.itemBytes
        else { return nil }
        return item.withUnsafeBufferPointer { bytes in
            var reader = PlainEventReader(bytes: bytes, limits: limits)
            guard reader.readMembers() else { return nil }
            return reader.event(in: envelope)
        }
    }
}

private struct PlainEventReader {
    let bytes: UnsafeBufferPointer<UInt8>
    let limits: IngestionLimits

    private var type, event, name, messageID, userID, anonymousID, previousID, groupID: Range<Int>?
    private var timestamp, originalTimestamp, sentAt, properties, traits, context: Range<Int>?
    private var hasCategory = false
    private var hasProfile = false

    init(bytes: UnsafeBufferPointer<UInt8>, limits: IngestionLimits) {
        self.bytes = bytes
        self.limits = limits
    }

    /// Finds the members that mean something; false when the item is not plain.
    mutating func readMembers() -> Bool {
        PlainJSON.members(of: bytes, maxDepth: limits.depth) { name, value in
            // An escape in a name could make it any other.
            if bytes[name].contains(UInt8(ascii: "\\")) { return false }
            // null is as good as absent; but of members with one name the last counts.
            switch name.count {
            case 4:
                if isName(name, "type") { return keep(value, in: &type) }
                if isName(name, "name") { return keep(value, in: &self.name) }
            case 5: if isName(name, "event") { return keep(value, in: &event) }
            case 6:
                if isName(name, "userId") { return keep(value, in: &userID) }
                if isName(name, "sentAt") { return keep(value, in: &sentAt) }
                if isName(name, "traits") { return keep(value, in: &traits) }
            case 7:
                if isName(name, "context") { return keep(value, in: &context) }
                if isName(name, "groupId") { return keep(value, in: &groupID) }
            case 8: if isName(name, "category") { hasCategory = true }
            case 9:
                if isName(name, "messageId") { return keep(value, in: &messageID) }
                if isName(name, "timestamp") { return keep(value, in: &timestamp) }
                if isName(name, "profileId") { hasProfile = true }
            case 10:
                if isName(name, "properties") { return keep(value, in: &properties) }
                if isName(name, "previousId") { return keep(value, in: &previousID) }
            case 11: if isName(name, "anonymousId") { return keep(value, in: &anonymousID) }
            case 17: if isName(name, "originalTimestamp") { return keep(value, in: &originalTimestamp) }
            default: break
            }
            return true
        }
    }

    private func isName(_ range: Range<Int>, _ word: StaticString) -> Bool {
        for index in 0..<range.count where bytes[range.lowerBound + index] != word.utf8Start[index] {
            return false
        }
        return true
    }

    /// A member may come once; a second one is the parser's to judge.
    private func keep(_ value: Range<Int>, in member: inout Range<Int>?) -> Bool {
        guard member == nil else { return false }
        member = value
        return true
    }

    // MARK: - Values

    private enum Text {
        case absent
        case present(Range<Int>)
        case notPlain
    }

    /// A string without escapes, or nothing.
    private func text(_ value: Range<Int>?, maxBytes: Int) -> Text {
        guard let value, !isNull(value) else { return .absent }
        guard bytes[value.lowerBound] == UInt8(ascii: "\"") else { return .notPlain }
        let content = value.lowerBound + 1..<value.upperBound - 1
        if content.isEmpty { return .absent }
        guard content.count <= maxBytes, !bytes[content].contains(UInt8(ascii: "\\")) else {
            return .notPlain
        }
        return .present(content)
    }

    private func isNull(_ value: Range<Int>) -> Bool { bytes[value.lowerBound] == UInt8(ascii: "n") }

    private enum Time {
        case absent
        case present(Instant)
        case notPlain
    }

    private func time(_ value: Range<Int>?) -> Time {
        guard let value, !isNull(value) else { return .absent }
        guard bytes[value.lowerBound] == UInt8(ascii: "\""),
            let instant = Instant(
                rfc3339: UnsafeBufferPointer(rebasing: bytes[value.lowerBound + 1..<value.upperBound - 1]))
        else { return .notPlain }
        return .present(instant)
    }

    /// An object with something in it; false when the member is there and is none.
    private func object(_ value: Range<Int>?, _ found: inout Range<Int>?) -> Bool {
        guard let value, !isNull(value) else { return true }
        guard bytes[value.lowerBound] == UInt8(ascii: "{") else { return false }
        let isEmpty = bytes[value.dropFirst().dropLast()].allSatisfy { $0 <= 0x20 }
        if !isEmpty { found = value }
        return true
    }

    private func string(_ range: Range<Int>?) -> String? {
        range.map { String(decoding: UnsafeBufferPointer(rebasing: bytes[$0]), as: UTF8.self) }
    }

    // MARK: - The event

    func event(in envelope: EventParser.Envelope) -> PlainEvent? {
        guard let kind = kind(envelope), !(envelope.mayNameProfile && hasProfile),
            !(hasCategory && (kind == .page || kind == .screen))
        else { return nil }
        var parts = Parts()
        let ids = limits.identifierBytes
        guard take(text(messageID, maxBytes: ids), &parts.messageID),
            take(text(userID, maxBytes: ids), &parts.userID),
            take(text(anonymousID, maxBytes: ids), &parts.anonymousID),
            take(text(previousID, maxBytes: ids), &parts.previousID),
            take(text(groupID, maxBytes: ids), &parts.groupID),
            let messageID = string(parts.messageID), parts.anonymousID != nil || parts.userID != nil,
            readName(kind, &parts), isWhole(parts, kind), readTimes(envelope, &parts),
            object(properties, &parts.properties), object(traits, &parts.traits),
            object(context, &parts.context)
        else { return nil }
        // An address is shortened, as the source says.
        if let context = parts.context, holds(context, #""ip""#) { return nil }
        let (userID, anonymousID) = (string(parts.userID), string(parts.anonymousID))
        guard let subject = anonymousID ?? userID else { return nil }
        return PlainEvent(
            kind: kind, messageID: messageID, event: kind == .track ? string(parts.name) : nil,
            subjectKey: subject, userID: userID, anonymousID: anonymousID, timestamp: parts.timestamp,
            saysIDsAlone: parts.traits == nil && saysNobody(parts.context),
            text: stored(parts, kind, envelope))
    }

    /// Whether a context has none of the members that say who somebody is, where, or what they chose.
    private func saysNobody(_ context: Range<Int>?) -> Bool {
        guard let context else { return true }
        let text = UnsafeBufferPointer(rebasing: bytes[context])
        return PlainJSON.members(of: text, maxDepth: limits.depth) { name, _ in
            let name = UnsafeBufferPointer(rebasing: text[name])
            return !name.contains(UInt8(ascii: "\\"))
                && !Self.telling.contains { $0.utf8.elementsEqual(name) }
        }
    }

    private static let telling = ["traits", "externalIds", "consent", "location", "device"]

    private struct Parts {
        var messageID, userID, anonymousID, previousID, groupID, name: Range<Int>?
        var properties, traits, context: Range<Int>?
        var timestamp = Instant.distantPast
        var originalTimestamp, sentAt: Instant?
    }

    private func kind(_ envelope: EventParser.Envelope) -> TrackingEvent.Kind? {
        if let kind = envelope.kind { return kind }
        guard case .present(let range) = text(type, maxBytes: 16) else { return nil }
        return TrackingEvent.Kind.allCases.first { $0.rawValue.utf8.elementsEqual(bytes[range]) }
    }

    private func take(_ text: Text, _ part: inout Range<Int>?) -> Bool {
        switch text {
        case .absent: return true
        case .notPlain: return false
        case .present(let range):
            part = range
            return true
        }
    }

    private func readName(_ kind: TrackingEvent.Kind, _ parts: inout Parts) -> Bool {
        switch kind {
        case .track: take(text(event, maxBytes: limits.nameBytes), &parts.name) && parts.name != nil
        case .page, .screen: take(text(name, maxBytes: limits.nameBytes), &parts.name)
        case .identify, .group, .alias: true
        }
    }

    private func isWhole(_ parts: Parts, _ kind: TrackingEvent.Kind) -> Bool {
        switch kind {
        case .alias: parts.previousID != nil && parts.userID != nil
        case .group: parts.groupID != nil
        case .identify, .track, .page, .screen: true
        }
    }

    private func readTimes(_ envelope: EventParser.Envelope, _ parts: inout Parts) -> Bool {
        var own: Instant?
        switch time(timestamp) {
        case .notPlain: return false
        case .absent: break
        case .present(let instant): own = instant
        }
        switch time(originalTimestamp) {
        case .notPlain: return false
        case .absent: parts.originalTimestamp = own
        case .present(let instant): parts.originalTimestamp = instant
        }
        switch time(sentAt) {
        case .notPlain: return false
        case .absent: parts.sentAt = envelope.sentAt
        case .present(let instant): parts.sentAt = instant
        }
        guard
            let corrected = EventTime.corrected(
                original: parts.originalTimestamp, sentAt: parts.sentAt, receivedAt: envelope.receivedAt)
        else { return false }
        parts.timestamp = corrected
        return true
    }

    private func holds(_ range: Range<Int>, _ word: StaticString) -> Bool {
        let length = word.utf8CodeUnitCount
        guard range.count >= length else { return false }
        for start in range.lowerBound...(range.upperBound - length) where bytes[start] == word.utf8Start[0] {
            if isName(start..<start + length, word) { return true }
        }
        // An escape could hide it.
        return bytes[range].contains(UInt8(ascii: "\\"))
    }

    /// The members in the order of their names, as `TrackingEvent.json` writes them.
    private func stored(
        _ parts: Parts, _ kind: TrackingEvent.Kind, _ envelope: EventParser.Envelope
    ) -> [UInt8] {
        var text: [UInt8] = []
        text.reserveCapacity(bytes.count + 192)
        func raw(_ name: StaticString, _ range: Range<Int>?) {
            guard let range else { return }
            begin(name, &text)
            text.append(contentsOf: UnsafeBufferPointer(rebasing: bytes[range]))
        }
        func quoted(_ name: StaticString, _ range: Range<Int>?) {
            // The quotes stand around it.
            raw(name, range.map { $0.lowerBound - 1..<$0.upperBound + 1 })
        }
        func written(_ name: StaticString, _ value: String?) {
            guard let value else { return }
            begin(name, &text)
            text.append(UInt8(ascii: "\""))
            text.append(contentsOf: value.utf8)
            text.append(UInt8(ascii: "\""))
        }
        quoted("anonymousId", parts.anonymousID)
        raw("context", parts.context)
        if kind == .track { quoted("event", parts.name) }
        quoted("groupId", parts.groupID)
        quoted("messageId", parts.messageID)
        if kind != .track { quoted("name", parts.name) }
        written("originalTimestamp", parts.originalTimestamp?.rfc3339)
        quoted("previousId", parts.previousID)
        raw("properties", parts.properties)
        written("receivedAt", envelope.receivedAt.rfc3339)
        written("sentAt", parts.sentAt?.rfc3339)
        written("sourceId", envelope.sourceID.description)
        written("timestamp", parts.timestamp.rfc3339)
        raw("traits", parts.traits)
        written("type", kind.rawValue)
        quoted("userId", parts.userID)
        text.append(UInt8(ascii: "}"))
        return text
    }

    private func begin(_ name: StaticString, _ text: inout [UInt8]) {
        text.append(text.isEmpty ? UInt8(ascii: "{") : UInt8(ascii: ","))
        text.append(UInt8(ascii: "\""))
        text.append(
            contentsOf: UnsafeBufferPointer(start: name.utf8Start, count: name.utf8CodeUnitCount))
        text.append(contentsOf: [UInt8(ascii: "\""), UInt8(ascii: ":")])
    }
}
