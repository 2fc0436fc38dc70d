package import Models

/// What a person last said of a purpose, and when.
package struct ConsentWord: Hashable, Sendable {
    package var state: ConsentChange.State
    package var at: Instant

    package init(_ state: ConsentChange.State, at: Instant) { (self.state, self.at) = (state, at) }

    package init(_ decision: ConsentDecision) { self.init(decision.state, at: decision.at) }

    /// Whether this one stands against `other`: the later; at the same instant a withdrawal.
    package func prevails(over other: ConsentWord) -> Bool {
        at != other.at ? at > other.at : state == .withdrawn
    }
}

/// What is to be done with somebody's data.
package struct ConsentUse: Hashable, Sendable {
    package struct Thing: Hashable, Sendable {
        package let kind: ConsentPolicy.Kind
        package let name: String

        package init(_ kind: ConsentPolicy.Kind, _ name: String) { (self.kind, self.name) = (kind, name) }
    }

    /// The purposes that it is for by its own word, beside what the policy says that it needs.
    package var purposes: [String]
    /// What it is a use of: a journey, a segment.
    package var things: [Thing]
    /// By which channel the person is spoken to, if they are.
    package var channel: String?
    /// Where the person is, if that is known.
    package var jurisdiction: Jurisdiction?

    package init(
        purposes: [String] = [], things: [Thing] = [], channel: String? = nil,
        jurisdiction: Jurisdiction? = nil
    ) {
        (self.purposes, self.things) = (purposes, things)
        (self.channel, self.jurisdiction) = (channel, jurisdiction)
    }

    var allThings: [Thing] { things + (channel.map { [Thing(.channels, $0)] } ?? []) }
}

/// Why a use is denied: the first of the purposes it needs that does not permit it.
package struct ConsentDenial: Hashable, Sendable {
    package enum Reason: String, Sendable, CaseIterable {
        /// Nobody has defined the purpose.
        case purposeUnknown = "purpose-unknown"
        case otherChannel = "other-channel"
        case otherJurisdiction = "other-jurisdiction"
        /// The purpose is for some places alone, and it isn't known where the person is.
        case jurisdictionUnknown = "jurisdiction-unknown"
        case consentMissing = "consent-missing"
        /// It was granted longer ago than a consent lasts, and counts as missing.
        case consentExpired = "consent-expired"
        /// The person has said no.
        case consentWithdrawn = "consent-withdrawn"
    }

    package let purpose: String
    package let reason: Reason

    package init(_ purpose: String, _ reason: Reason) { (self.purpose, self.reason) = (purpose, reason) }
}

/// Whether a use is permitted, and if not, why.
package enum Permission: Hashable, Sendable {
    case permitted
    case denied(ConsentDenial)

    package var isPermitted: Bool { self == .permitted }

    package var denial: ConsentDenial? {
        switch self {
        case .permitted: nil
        case .denied(let denial): denial
        }
    }
}

/// Whether a policy permits a use of somebody's data now, by what they last said of each purpose. All that it needs must be
/// permitted; what is unknown is denied. The one rule that every service asks.
package func permits(
    _ policy: ConsentPolicy, _ state: [String: ConsentWord], _ use: ConsentUse, now: Instant
) -> Permission {
    policy.denial(of: use, state, now: now).map(Permission.denied) ?? .permitted
}

extension Purpose {
    /// When a grant says nothing any more; nil where it lasts.
    package func expiry(of word: ConsentWord) -> Instant? {
        word.state == .granted ? lasts?.end(of: word.at) : nil
    }

    /// Why this purpose doesn't permit a use, if it doesn't; `word` is what the person last said of it.
    package func denial(_ word: ConsentWord?, _ use: ConsentUse, now: Instant) -> ConsentDenial.Reason? {
        PurposeRule(self).denial(word, use, now: now)
    }
}
