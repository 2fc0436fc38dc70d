package import Models

/// A decision that an event carries.
package struct ConsentSignal: Hashable, Sendable {
    package let purpose: String
    package let action: ConsentAction
    package let source: String
    package let textVersion: String?
    package let locale: String?
    package let occurredAt: Instant
    package var evidence: JSON

    package init(
        purpose: String, action: ConsentAction, source: String, textVersion: String?, locale: String? = nil,
        occurredAt: Instant, evidence: JSON
    ) {
        self.purpose = purpose
        self.action = action
        self.source = source
        self.textVersion = textVersion
        self.locale = locale
        self.occurredAt = occurredAt
        self.evidence = evidence
    }

    /// The purpose that an `Unsubscribed` without one is about.
    package static let defaultPurpose = "marketing"

    /// What an event says about consent.
    package enum Reading: Hashable, Sendable {
        /// Not an event about consent.
        case none
        case signal(ConsentSignal)
        /// It is about consent but names no purpose that could be one.
        case unusable
    }

    /// What a device says of a purpose with an event.
    package init(_ event: TrackingEvent, says said: EventSignals.Said) {
        self.init(
            purpose: said.purpose, action: said.action, source: said.kind.rawValue, textVersion: nil,
            locale: Self.locale(of: event),
            occurredAt: event.timestamp,
            evidence: [
                "kind": .string(said.kind.rawValue), "messageId": .string(event.messageID),
                "sourceId": .string(event.sourceID.description),
                "timestamp": .string(event.timestamp.rfc3339),
                "receivedAt": .string(event.receivedAt.rfc3339),
                // Raw, as it was said.
                said.kind.member: event.context["consent"]?[said.kind.member] ?? .null,
            ])
    }

    /// Whether a track call of that name is about consent.
    package static func isNamed(_ event: String) -> Bool {
        switch event {
        case "Consent Granted", "Consent Denied", "Consent Withdrawn", "Unsubscribed": true
        default: false
        }
    }

    /// Reads `Consent Granted`, `Consent Denied`, `Consent Withdrawn` and `Unsubscribed`; all others say nothing.
    package static func read(_ event: TrackingEvent) -> Reading {
        guard event.kind == .track, let name = event.name else { return .none }
        let named = event.properties["purpose"]?.string.flatMap { Purpose.isID($0) ? $0 : nil }
        switch name {
        case "Consent Granted":
            return named.map { .signal(signal(event, name, .grant, $0, source: "event")) } ?? .unusable
        case "Consent Denied":
            return named.map { .signal(signal(event, name, .deny, $0, source: "event")) } ?? .unusable
        case "Consent Withdrawn":
            return named.map { .signal(signal(event, name, .withdraw, $0, source: "event")) } ?? .unusable
        case "Unsubscribed":
            // Somebody said stop: that must not be lost over a purpose that cannot be read.
            return .signal(signal(event, name, .withdraw, named ?? defaultPurpose, source: "unsubscribe"))
        default: return .none
        }
    }

    /// The language that the event says it was in, where it says one.
    private static func locale(of event: TrackingEvent) -> String? {
        event.context["locale"]?.string.flatMap { Purpose.isLanguage($0) ? $0 : nil }
    }

    private static func signal(
        _ event: TrackingEvent, _ name: String, _ action: ConsentAction, _ purpose: String, source: String
    ) -> ConsentSignal {
        func label(_ key: String) -> String? {
            event.properties[key]?.string.flatMap { Purpose.isLabel($0) ? $0 : nil }
        }
        return ConsentSignal(
            purpose: purpose, action: action, source: label("source") ?? source,
            textVersion: label("textVersion"), locale: locale(of: event), occurredAt: event.timestamp,
            evidence: [
                "kind": "event", "event": .string(name), "messageId": .string(event.messageID),
                "sourceId": .string(event.sourceID.description),
                "timestamp": .string(event.timestamp.rfc3339),
                "receivedAt": .string(event.receivedAt.rfc3339),
            ])
    }
}
