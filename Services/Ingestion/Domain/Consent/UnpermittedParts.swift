package import ConsentDomain
package import Models

/// The parts of an event that may be stored, which need purposes of their own that are not permitted: traits, and
/// identifiers, which would lead to somebody. They are taken off before anything is stored.
package struct UnpermittedParts: Hashable, Sendable {
    package private(set) var identifiers: Set<Identifier.Kind> = []
    package private(set) var traits: Set<String> = []

    /// What identity calls the id that an app has for the device that it runs on (`context.device.id`).
    static let device = Identifier.Kind(rawValue: "deviceId")

    package var isEmpty: Bool { identifiers.isEmpty && traits.isEmpty }

    /// Decides as `EventStorageDecision` does of the event: everybody whom it names must permit each. What says of consent
    /// itself keeps the names by which that is recorded.
    package init(
        of question: EventQuestion, _ policy: ConsentPolicy, known: [[String: ConsentWord]], now: Instant
    ) {
        guard Self.mayBe(of: policy) else { return }
        let people = EventStorageDecision.people(question, policy, known: known, now: now)
        func isDenied(_ kind: ConsentPolicy.Kind, _ name: String) -> Bool {
            guard policy.requirement(of: kind, name) != nil else { return false }
            let use = ConsentUse(things: [.init(kind, name)], jurisdiction: question.jurisdiction)
            return !people.allSatisfy { permits(policy, $0, use, now: now).isPermitted }
        }
        if !question.isAboutConsent {
            for kind in Set(question.names.map(\.identifier.kind)) where isDenied(.identifiers, kind.rawValue)
            {
                identifiers.insert(kind)
            }
        }
        for trait in question.traits where isDenied(.traits, trait) { traits.insert(trait) }
    }

    /// Whether a policy has a rule for parts of events.
    package static func mayBe(of policy: ConsentPolicy) -> Bool {
        !(policy.requires[.identifiers]?.isEmpty ?? true) || !(policy.requires[.traits]?.isEmpty ?? true)
    }
}

extension TrackingEvent {
    /// The traits that it tells of its person: its own, and those that its context repeats. Those of a group call are an
    /// account's.
    package var personTraits: [[String: JSON]] {
        [kind == .group ? [:] : traits, context["traits"]?.object ?? [:]]
    }

    /// The event without these parts; nil where nobody is left that it could be of.
    package func without(_ parts: UnpermittedParts) -> TrackingEvent? {
        var event = self
        var gone = parts.traits
        if parts.identifiers.contains(.email) { gone.insert("email") }
        if parts.identifiers.contains(.phone) { gone.insert("phone") }
        if kind != .group { event.traits = traits.filter { !gone.contains($0.key) } }
        if let traits = context["traits"]?.object {
            event.context["traits"] = .object(traits.filter { !gone.contains($0.key) })
        }
        // An account's call may name its person's address too, which leads to them as any other.
        if kind == .group {
            for (name, kind) in [("email", Identifier.Kind.email), ("phone", .phone)]
            where parts.identifiers.contains(kind) { event.traits[name] = nil }
        }
        if parts.identifiers.contains(.userID) { event.userID = nil }
        if parts.identifiers.contains(.anonymousID) { event.anonymousID = nil }
        if let kind = UnpermittedParts.device, parts.identifiers.contains(kind),
            var device = context["device"]?.object
        {
            device["id"] = nil
            event.context["device"] = .object(device)
        }
        if let ids = context["externalIds"]?.array {
            event.context["externalIds"] = .array(
                ids.filter { id in
                    let kind = id["type"]?.string.flatMap { Identifier.Kind(externalType: $0) }
                    return !(kind.map(parts.identifiers.contains) ?? false)
                })
        }
        // Two names for one are all that an alias says.
        if kind == .alias, !parts.identifiers.isDisjoint(with: [.userID, .anonymousID]) { return nil }
        return event.userID == nil && event.anonymousID == nil && event.profileID == nil ? nil : event
    }
}
