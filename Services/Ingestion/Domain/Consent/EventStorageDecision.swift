package import ConsentDomain
package import Models

/// What may be stored of an event whose kind needs purposes.
package enum EventStorageDecision {
    /// What a policy calls an event by: the name of a track call, `type:page` and so on of others.
    package static func name(of event: TrackingEvent) -> String {
        name(of: event.kind, event.name)
    }

    package static func name(of kind: TrackingEvent.Kind, _ name: String?) -> String {
        kind == .track ? name ?? "" : "type:\(kind.rawValue)"
    }

    /// Decides by what is known of everybody that the event names, each with their words by purpose, and by what it says
    /// itself. The event's own no counts at once. Its own yes counts where nothing else is known: what a device has once been
    /// told is said again with each event, and must not undo a withdrawal that was made elsewhere.
    package static func decide(
        _ question: EventQuestion, _ policy: ConsentPolicy, known: [[String: ConsentWord]], now: Instant
    ) -> EventStorage {
        // By it people grant and withdraw; to lose one because of what it withdraws would leave what it was to end.
        guard !question.isAboutConsent else { return .full }
        guard let requirement = policy.requirement(of: .events, question.rule) else { return .full }
        let use = ConsentUse(
            things: [.init(.events, question.rule)], jurisdiction: question.jurisdiction)
        let isPermitted = people(question, policy, known: known, now: now)
            .allSatisfy { permits(policy, $0, use, now: now).isPermitted }
        guard !isPermitted else { return .full }
        // Who is known by which names is all that these say.
        let isAboutNames = [.identify, .alias, .group].contains(question.kind)
        return isAboutNames ? .count : requirement.otherwise
    }
}

extension EventStorageDecision {
    /// What stands of everybody whom an event names, with what it says itself; of nobody, where nobody is known.
    static func people(
        _ question: EventQuestion, _ policy: ConsentPolicy, known: [[String: ConsentWord]], now: Instant
    ) -> [[String: ConsentWord]] {
        let said = question.saying.map { EventSignals($0, policy).said } ?? []
        return (known.isEmpty ? [[:]] : known).map { words in
            var words = words
            for own in said {
                let word = ConsentWord(own.action.state, at: min(question.timestamp, now))
                if word.state == .withdrawn || words[own.purpose] == nil { words[own.purpose] = word }
            }
            return words
        }
    }

    /// Whether an event that may not be stored says no to a purpose, which has yet to be recorded of somebody whom it
    /// names. Then that alone is stored of it.
    package static func hasNews(
        _ event: TrackingEvent, _ policy: ConsentPolicy, known: [[String: ConsentWord]]
    ) -> Bool {
        EventSignals(event, policy).said.contains { said in
            said.action.state == .withdrawn
                && (known.isEmpty || known.contains { $0[said.purpose]?.state != .withdrawn })
        }
    }
}

extension TrackingEvent {
    /// What the event says of consent, and of whom, without anything else.
    package var consentAlone: TrackingEvent {
        var event = TrackingEvent(
            messageID: messageID, kind: .track, name: "Consent Signalled", userID: userID,
            anonymousID: anonymousID,
            profileID: profileID, timestamp: timestamp, originalTimestamp: originalTimestamp, sentAt: sentAt,
            receivedAt: receivedAt, sourceID: sourceID)
        event.context = ["consent": context["consent"] ?? .null]
        event.context["externalIds"] = context["externalIds"]
        return event
    }

    /// The event under another name, without anything that names a person, a device or an account: no identifiers, traits,
    /// addresses and browsers, and of its properties only those that hold numbers, truths, and short texts that are neither
    /// called like something personal nor look like an address.
    package func pseudonymous(as pseudonym: String) -> TrackingEvent {
        var event = TrackingEvent(
            messageID: messageID, kind: kind, name: name, anonymousID: pseudonym, timestamp: timestamp,
            originalTimestamp: originalTimestamp, sentAt: sentAt, receivedAt: receivedAt, sourceID: sourceID,
            properties: Self.impersonal(properties))
        var context: [String: JSON] = ["pseudonymous": true]
        for kept in ["library", "campaign", "location"] {
            if let members = self.context[kept]?.object { context[kept] = .object(Self.impersonal(members)) }
        }
        if let path = self.context["page"]?["path"]?.string, !Self.looksPersonal(path) {
            context["page"] = ["path": .string(path)]
        }
        event.context = context
        return event
    }

    private static func impersonal(_ members: [String: JSON]) -> [String: JSON] {
        members.filter { !isPersonal($0.key) }.compactMapValues(impersonal)
    }

    private static func impersonal(_ value: JSON) -> JSON? {
        switch value {
        case .string(let text): text.utf8.count <= 128 && !looksPersonal(text) ? value : nil
        case .array(let elements): .array(elements.compactMap(impersonal))
        case .object(let members): .object(impersonal(members))
        default: value
        }
    }

    private static func looksPersonal(_ text: String) -> Bool {
        text.contains("@") || text.contains("%40") || text.utf8.count { (48...57).contains($0) } >= 9
    }

    private static func isPersonal(_ key: String) -> Bool {
        let name = key.lowercased().filter { $0.isLetter }
        return personalParts.contains { name.contains($0) } || personalNames.contains(name)
    }

    private static let personalParts = [
        "mail", "phone", "mobile", "address", "firstname", "lastname", "fullname", "username", "userid",
        "customerid", "anonymousid", "deviceid", "birth", "passw", "token", "session", "street", "postal",
        "zip",
        "clickid", "orderid", "checkoutid", "latitude", "longitude",
    ]
    private static let personalNames: Set<String> = [
        "name", "ip", "url", "referrer", "search", "gclid", "fbclid", "msclkid", "id", "user", "customer",
    ]
}
