import Models

/// As much of a purpose as it takes to see whether it permits a use: asked with every event, so it is one object, and not
/// copied with everything else that there is to say of a purpose.
final class PurposeRule: Sendable {
    private let legalBasis: LegalBasis
    private let channels: [String]
    private let jurisdictions: [Jurisdiction]
    private let lasts: ConsentTerm?

    init(_ purpose: Purpose) {
        (legalBasis, channels) = (purpose.legalBasis, purpose.channels)
        (jurisdictions, lasts) = (purpose.jurisdictions, purpose.lasts)
    }

    /// Why the purpose does not permit a use, by what somebody last said of it; nil where it does.
    func denial(_ word: ConsentWord?, _ use: ConsentUse, now: Instant) -> ConsentDenial.Reason? {
        if let channel = use.channel, !channels.isEmpty, !channels.contains(channel) { return .otherChannel }
        if !jurisdictions.isEmpty {
            guard let place = use.jurisdiction else { return .jurisdictionUnknown }
            guard jurisdictions.contains(where: { $0.covers(place) }) else { return .otherJurisdiction }
        }
        if legalBasis == .contract { return nil }
        guard let word else { return legalBasis == .consent ? .consentMissing : nil }
        if word.state == .withdrawn { return .consentWithdrawn }
        if legalBasis == .consent, let lasts, lasts.hasEnded(since: word.at, by: now) {
            return .consentExpired
        }
        return nil
    }
}
