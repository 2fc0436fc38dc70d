package import ConsentDomain
package import Models

/// The state of one profile's consent to a purpose, as read and locked at the decision.
package struct ConsentFact: Hashable, Sendable {
    package var profileID: ProfileID
    package var purpose: String
    package var state: ConsentChange.State
    package var at: Instant
    /// The entry of the consent ledger that made it so.
    package var ledgerEntry: String?

    package init(
        profileID: ProfileID, purpose: String, state: ConsentChange.State, at: Instant, ledgerEntry: String?
    ) {
        (self.profileID, self.purpose, self.state) = (profileID, purpose, state)
        (self.at, self.ledgerEntry) = (at, ledgerEntry)
    }
}

/// An address that gets no mail, for one purpose or for all.
package struct Suppression: Hashable, Sendable {
    package enum Reason: String, Hashable, Sendable, CaseIterable {
        case unsubscribed
        case bounced
        case complained
        case manual
    }

    /// Nil suppresses every purpose.
    package var purpose: String?
    package var reason: Reason
    package var at: Instant

    package init(purpose: String?, reason: Reason, at: Instant) {
        (self.purpose, self.reason, self.at) = (purpose, reason, at)
    }
}

/// One way to reach the person.
package struct Contact: Hashable, Sendable {
    /// A keyed hash of the address: evidence outlives the address itself.
    package var key: String
    /// SMTP can carry the address.
    package var isValid: Bool
    package var lastSeen: Instant
    package var suppressions: [Suppression]

    package init(key: String, isValid: Bool, lastSeen: Instant, suppressions: [Suppression]) {
        (self.key, self.isValid) = (key, isValid)
        (self.lastSeen, self.suppressions) = (lastSeen, suppressions)
    }
}

/// An attempt that didn't settle the message, because those that do leave nothing to decide.
package struct EarlierAttempt: Hashable, Sendable {
    package var at: Instant
    package var detail: String

    package init(at: Instant, detail: String) {
        (self.at, self.detail) = (at, detail)
    }
}

/// A merge that was undone: what others derive must have followed before the message may be decided.
package struct UnmergeFact: Hashable, Sendable {
    package var mergeID: MergeID
    /// The profile that it had joined to others.
    package var profileID: ProfileID
    package var at: Instant
    /// Whether consents, and where the message is this profile's also journeys, stand as they do without the merge.
    package var isFollowed: Bool

    package init(mergeID: MergeID, profileID: ProfileID, at: Instant, isFollowed: Bool) {
        (self.mergeID, self.profileID, self.at) = (mergeID, profileID, at)
        self.isFollowed = isFollowed
    }
}

/// Everything a send is decided by.
package struct SendFacts: Hashable, Sendable {
    package var messageID: MessageID
    /// When the journey wanted it sent.
    package var wantedAt: Instant
    package var channel: String
    package var purpose: String
    package var journey: String
    /// Where the person is, by their trait `country`; nil when that isn't known.
    package var jurisdiction: Jurisdiction?
    /// As much of the consent policy as the message is decided by.
    package var policy: ConsentPolicy
    /// Its version; 0 in evidence from before there were any.
    package var policyVersion: Int64
    package var isErased: Bool
    /// Whether any profile of the person may be kept only.
    package var isRestricted: Bool
    /// Those of late, of all profiles that are one with the message's.
    package var unmerges: [UnmergeFact]
    package var contacts: [Contact]
    /// One for each profile of the merge component and each needed purpose that has a state, and each wish of the person.
    package var consents: [ConsentFact]
    /// Nil when there is no such template.
    package var templateVersion: Int?
    /// Why the template couldn't be rendered, if it couldn't.
    package var renderingError: String?
    package var attempts: [EarlierAttempt]
    /// When the person was last sent anything that does not go with a contract; read where they want to be written to rarely.
    package var lastSentAt: Instant?
    package var now: Instant

    package init(
        messageID: MessageID, wantedAt: Instant, channel: String, purpose: String, journey: String = "",
        jurisdiction: Jurisdiction? = nil, policy: ConsentPolicy, policyVersion: Int64, isErased: Bool,
        isRestricted: Bool = false, unmerges: [UnmergeFact] = [], contacts: [Contact],
        consents: [ConsentFact],
        templateVersion: Int?, renderingError: String?, attempts: [EarlierAttempt], now: Instant
    ) {
        (self.messageID, self.wantedAt, self.channel) = (messageID, wantedAt, channel)
        (self.purpose, self.journey, self.jurisdiction) = (purpose, journey, jurisdiction)
        (self.policy, self.policyVersion, self.isErased) = (policy, policyVersion, isErased)
        self.isRestricted = isRestricted
        (self.unmerges, self.contacts, self.consents) = (unmerges, contacts, consents)
        (self.templateVersion, self.renderingError) = (templateVersion, renderingError)
        (self.attempts, self.now) = (attempts, now)
    }
}

extension SendFacts {
    /// What is asked of the consent policy.
    package var use: ConsentUse {
        ConsentUse(
            purposes: [purpose], things: [ConsentUse.Thing(.journeys, journey)], channel: channel,
            jurisdiction: jurisdiction)
    }

    /// Nil when nobody defined the purpose.
    package var legalBasis: LegalBasis? { policy.purposes[purpose]?.legalBasis }
}
