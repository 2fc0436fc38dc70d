package import ConsentDomain
package import Models

/// What a consent policy has to know of an event to say what may be stored of it. An object, as events are handed on often
/// and none of it ever changes.
package final class EventQuestion: Sendable {
    /// What a policy calls the event by.
    package let rule: String
    package let kind: TrackingEvent.Kind
    /// Whether it is a decision on a purpose, which is always stored.
    package let isAboutConsent: Bool
    /// Every name that identity may take somebody by: also an address or a telephone number among the traits.
    package let names: [Name]
    /// The traits of the person that it tells, by their names.
    package let traits: Set<String>
    package let profileID: ProfileID?
    package let jurisdiction: Jurisdiction?
    package let timestamp: Instant
    /// The event itself, where it says what its person chose.
    let saying: TrackingEvent?

    package init(_ event: TrackingEvent) {
        rule = EventStorageDecision.name(of: event)
        kind = event.kind
        isAboutConsent = ConsentSignal.read(event) != .none
        var names = [
            event.userID.flatMap { Identifier(.userID, $0) },
            event.anonymousID.flatMap { Identifier(.anonymousID, $0) },
        ]
        if let device = UnpermittedParts.device {
            names.append(event.context["device"]?["id"]?.string.flatMap { Identifier(device, $0) })
        }
        // It does not say which of the two it means.
        if event.kind == .alias {
            names.append(event.previousID.flatMap { Identifier(.userID, $0) })
            names.append(event.previousID.flatMap { Identifier(.anonymousID, $0) })
        }
        for traits in [event.traits, event.context["traits"]?.object ?? [:]] {
            names.append(traits["email"]?.string.flatMap { Identifier(.email, $0) })
            names.append(traits["phone"]?.string.flatMap { Identifier(.phone, PhoneNumber($0)?.digits) })
        }
        self.names = (names.compactMap { $0 } + Identifier.external(in: event.context)).map(Name.init)
        traits = Set(event.personTraits.flatMap(\.keys))
        profileID = event.profileID
        jurisdiction = event.context["location"]?["country"]?.string.flatMap(Jurisdiction.init(loosely:))
        timestamp = event.timestamp
        saying = event.context["consent"]?.object?.isEmpty == false ? event : nil
    }

    /// That of an event that was not taken apart; nil where it has to be.
    package init?(_ event: PlainEvent) {
        guard event.saysIDsAlone, event.kind != .alias,
            !(event.kind == .track && event.event.map(ConsentSignal.isNamed) ?? false)
        else { return nil }
        rule = EventStorageDecision.name(of: event.kind, event.event)
        kind = event.kind
        isAboutConsent = false
        names = [
            event.userID.flatMap { Identifier(.userID, $0) },
            event.anonymousID.flatMap { Identifier(.anonymousID, $0) },
        ].compactMap { $0.map(Name.init) }
        traits = []
        profileID = nil
        jurisdiction = nil
        timestamp = event.timestamp
        saying = nil
    }
}

extension EventQuestion {
    /// A name by its bytes, as texts that look alike are one to Swift and two to the database. Many are looked up while
    /// others wait, so they are made ready before.
    package struct Name: Hashable, Sendable {
        package let identifier: Identifier
        private let bytes: [UInt8]

        package init(_ identifier: Identifier) {
            self.identifier = identifier
            bytes = Array(identifier.value.utf8)
        }

        package static func == (left: Name, right: Name) -> Bool {
            left.bytes == right.bytes && left.identifier.kind == right.identifier.kind
        }

        package func hash(into hasher: inout Hasher) {
            bytes.withUnsafeBytes { hasher.combine(bytes: $0) }
        }
    }
}

extension EventQuestion: Equatable {
    package static func == (left: EventQuestion, right: EventQuestion) -> Bool {
        left.rule == right.rule && left.kind == right.kind && left.isAboutConsent == right.isAboutConsent
            && left.names == right.names && left.traits == right.traits && left.profileID == right.profileID
            && left.jurisdiction == right.jurisdiction && left.timestamp == right.timestamp
            && left.saying == right.saying
    }
}
