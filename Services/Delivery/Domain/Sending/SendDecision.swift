package import ConsentDomain
package import Models

/// Why a message isn't sent.
package enum NonSendReason: String, Hashable, Sendable, CaseIterable {
    /// The channel has no sender here.
    case unknownChannel
    case unknownPurpose
    case unknownTemplate
    /// The template can't be rendered with this profile.
    case templateFailed
    /// The person asked to be forgotten.
    case erased
    /// The person asked that they be kept and not used (GDPR article 18).
    case restricted
    case noAddress
    case invalidAddress
    /// The purpose needs consent, and it was never given.
    case noConsent
    /// It was given longer ago than a consent lasts.
    case consentExpired
    /// A purpose is not pursued by this channel.
    case otherChannel
    /// A purpose is not pursued where the person is, or it isn't known where that is.
    case otherJurisdiction
    case consentWithdrawn
    /// The person objected to a legitimate interest.
    case objected
    /// The address is suppressed.
    case suppressed
    /// The person does not want to be reached by this channel.
    case channelRefused
    /// The person wants to be written to more rarely, and was not long ago.
    case tooFrequent
    /// The moment has passed: the message would come days after what it speaks of.
    case expired
    /// The last attempt of the schedule failed.
    case attemptsExhausted
    /// Without a merge that was undone nobody would have wanted it, or not yet.
    case mergeUndone
}

/// What becomes of a message now.
package enum SendDecision: Hashable, Sendable {
    /// To the contact with this key; `consent` is the entry that allows it, where one is needed.
    case send(contact: String, consent: ConsentFact?)
    case doNotSend(NonSendReason)
    case retry(at: Instant)
    /// The merge was undone, and it isn't known yet what that means for the message.
    case hold(for: MergeID)

    /// A message older than this is no longer sent.
    package static let longestDelay = SendIntent.lifetime

    /// Decides, by the facts alone.
    package static func decide(_ facts: SendFacts) -> SendDecision {
        if facts.isErased { return .doNotSend(.erased) }
        if let mergeID = awaited(facts) { return .hold(for: mergeID) }
        if facts.isRestricted { return .doNotSend(.restricted) }
        if facts.channel != "email" { return .doNotSend(.unknownChannel) }
        guard let basis = facts.legalBasis else { return .doNotSend(.unknownPurpose) }
        guard facts.templateVersion != nil else { return .doNotSend(.unknownTemplate) }

        if let denial = permission(facts).denial { return .doNotSend(reason(denial, facts.policy)) }
        if basis != .contract, ContactWish.refuses(facts.channel, words(facts)) {
            return .doNotSend(.channelRefused)
        }
        let consent = latest(facts.consents.filter { $0.purpose == facts.purpose })

        if facts.contacts.isEmpty { return .doNotSend(.noAddress) }
        guard let contact = bestContact(facts.contacts) else { return .doNotSend(.invalidAddress) }
        if contact.suppressions.contains(where: { stands($0, against: facts.purpose, consent) }) {
            return .doNotSend(.suppressed)
        }

        if basis != .contract, let last = facts.lastSentAt, let frequency = frequency(facts),
            facts.now - last < frequency.window
        {
            return .doNotSend(.tooFrequent)
        }
        if facts.renderingError != nil { return .doNotSend(.templateFailed) }
        if facts.now - facts.wantedAt > longestDelay { return .doNotSend(.expired) }
        if let last = facts.attempts.map(\.at).max() {
            guard let next = RetrySchedule.next(after: facts.attempts.count, last: last, of: facts.messageID)
            else { return .doNotSend(.attemptsExhausted) }
            if facts.now < next { return .retry(at: next) }
        }
        return .send(contact: contact.key, consent: basis == .contract ? nil : consent)
    }

    /// What the consent policy says of it: consent's own rule, by the words of the whole merge component.
    package static func permission(_ facts: SendFacts) -> Permission {
        permits(facts.policy, words(facts), facts.use, now: facts.now)
    }

    /// How often the person wants to be written to at most, if they have said so.
    package static func frequency(_ facts: SendFacts) -> ContactFrequency? { ContactFrequency(words(facts)) }

    private static func words(_ facts: SendFacts) -> [String: ConsentWord] {
        facts.consents.reduce(into: [:]) { words, fact in
            let word = ConsentWord(fact.state, at: fact.at)
            if words[fact.purpose].map({ word.prevails(over: $0) }) ?? true { words[fact.purpose] = word }
        }
    }

    private static func reason(_ denial: ConsentDenial, _ policy: ConsentPolicy) -> NonSendReason {
        switch denial.reason {
        case .purposeUnknown: .unknownPurpose
        case .otherChannel: .otherChannel
        case .otherJurisdiction, .jurisdictionUnknown: .otherJurisdiction
        case .consentMissing: .noConsent
        case .consentExpired: .consentExpired
        case .consentWithdrawn:
            policy.purposes[denial.purpose]?.legalBasis == .consent ? .consentWithdrawn : .objected
        }
    }

    /// Whoever the message is for, and with whose consent, is known when everybody has followed. That takes moments; a
    /// service that has not followed for as long as a message lives is waited for no more.
    private static func awaited(_ facts: SendFacts) -> MergeID? {
        guard facts.now - facts.wantedAt <= longestDelay else { return nil }
        return facts.unmerges.filter { !$0.isFollowed && facts.now - $0.at <= longestDelay }
            .map(\.mergeID).min()
    }

    /// Whoever asks for it anew after unsubscribing gets it. What a bounce, a complaint or an operator has stopped is no
    /// matter of consent.
    private static func stands(
        _ suppression: Suppression, against purpose: String, _ consent: ConsentFact?
    ) -> Bool {
        guard let suppressed = suppression.purpose else { return true }
        guard suppressed == purpose else { return false }
        guard suppression.reason == .unsubscribed, let consent, consent.state == .granted else { return true }
        return consent.at <= suppression.at
    }

    /// The newest word of the whole merge component counts; of two at the same instant, the withdrawal.
    private static func latest(_ consents: [ConsentFact]) -> ConsentFact? {
        consents.max { left, right in
            if left.at != right.at { return left.at < right.at }
            if left.state != right.state { return right.state == .withdrawn }
            return left.profileID < right.profileID
        }
    }

    /// The valid address seen last. A suppressed one isn't passed over: who unsubscribed doesn't expect the
    /// next mail at another of their addresses.
    private static func bestContact(_ contacts: [Contact]) -> Contact? {
        contacts.filter(\.isValid).max { ($0.lastSeen, $1.key) < ($1.lastSeen, $0.key) }
    }
}

/// When a message that met a passing obstacle is tried again.
package enum RetrySchedule {
    /// Attempts in all, with the first.
    package static let attempts = 7

    /// After 1, 4, 16, 64, 256 and 1024 minutes, each a fifth longer or shorter so that a server that comes
    /// back isn't met by everybody at once; which it is depends on the message and the attempt alone.
    package static func next(after failed: Int, last: Instant, of message: MessageID) -> Instant? {
        guard failed >= 1 else { return last }
        guard failed < attempts else { return nil }
        let base = Int64(60_000) << Int64(2 * (failed - 1))
        let spread = Int64(StableHash.hash64("retry", message.description, "\(failed)") % 401) - 200
        return last + .milliseconds(base + base * spread / 1000)
    }
}
