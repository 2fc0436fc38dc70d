/// A person granted or withdrew consent for a purpose: the body of the stream `consents`.
package struct ConsentChange: Hashable, Sendable {
    package enum State: String, CaseIterable, Sendable, Codable {
        case granted, withdrawn
    }

    package var profileID: ProfileID
    package var purpose: String
    package var state: State
    package var at: Instant
    /// Where the person said so, such as `preference-centre`.
    package var source: String
    /// The version of the text that the person saw.
    package var textVersion: String?
    /// The id of the entry in the ledger that proves it.
    package var ledgerEntry: String

    package init(
        profileID: ProfileID, purpose: String, state: State, at: Instant, source: String,
        textVersion: String? = nil, ledgerEntry: String
    ) {
        self.profileID = profileID
        self.purpose = purpose
        self.state = state
        self.at = at
        self.source = source
        self.textVersion = textVersion
        self.ledgerEntry = ledgerEntry
    }

    package init(json: JSON) throws(DecodingProblem) {
        let fields = try JSONFields(json)
        profileID = try fields.id("profileId")
        purpose = try fields.string("purpose")
        state = try fields.choice("state")
        at = try fields.instant("at")
        source = try fields.string("source")
        textVersion = try fields.optionalString("textVersion")
        ledgerEntry = try fields.string("ledgerEntry")
    }

    package var json: JSON {
        var members: [String: JSON] = [
            "profileId": .string(profileID.description), "purpose": .string(purpose),
            "state": .string(state.rawValue), "at": .string(at.rfc3339), "source": .string(source),
            "ledgerEntry": .string(ledgerEntry),
        ]
        members["textVersion"] = textVersion.map { .string($0) }
        return .object(members)
    }
}

extension TrackingEvent {
    /// A decision as it stands among events. Its kind is one that rules cannot ask for.
    package init(_ consent: ConsentChange, recordedAt: Instant) {
        self.init(
            messageID: consent.ledgerEntry, kind: .alias, timestamp: consent.at, receivedAt: recordedAt,
            sourceID: SourceID(UUIDv7.derived(at: .distantPast, from: "consent")))
        self.consent = consent
    }
}
