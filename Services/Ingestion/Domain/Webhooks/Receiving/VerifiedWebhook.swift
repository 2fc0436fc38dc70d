package import Models

/// A request whose sender is known. Only verifiers make one, and decoding takes nothing else.
package struct VerifiedWebhook: Hashable, Sendable {
    package let request: WebhookRequest
    /// SHA-256 of the body in hexadecimal: names records that their sender gave no name.
    package let bodyDigest: String
    package let replayKey: ReplayKey

    package init(verified request: WebhookRequest, bodyDigest: String, replayKey: ReplayKey) {
        self.request = request
        self.bodyDigest = bodyDigest
        self.replayKey = replayKey
    }
}

/// What a verified request is recognised by when it comes again.
///
/// The service stores the text with the time, in the transaction that stores the events: a delivery that failed half
/// way has left no key, and its repetition counts as the first. The text is computed from what was signed, never from
/// how a header spells it, so that a replay cannot be dressed up as something new.
package struct ReplayKey: Hashable, Sendable {
    package let text: String
    package let rule: ReplayRule
    /// How long the key has to be remembered; after that the request is stale, or its events are known no longer.
    package let keep: Duration

    package init(text: String, rule: ReplayRule, keep: Duration) {
        self.text = text
        self.rule = rule
        self.keep = keep
    }

    /// What to do about a request with this key, which was `accepted` before or never.
    package func verdict(accepted: Instant?, now: Instant) -> ReplayVerdict {
        guard let accepted else { return .fresh }
        switch rule {
        case .refuse: return .replayed
        case .acknowledge(let window): return now - accepted <= window ? .duplicate : .replayed
        }
    }
}

/// What a repetition means, which depends on how a sender tries again.
package enum ReplayRule: Hashable, Sendable {
    /// The sender signs each attempt anew, so the same signature twice is somebody else's doing.
    case refuse
    /// The sender's own retry is the same to the byte. Within the time that it keeps trying, a repetition is
    /// acknowledged and has no effect, because its events have the same messageIds; later it is refused.
    case acknowledge(within: Duration)
}

/// What becomes of a verified request.
package enum ReplayVerdict: Hashable, Sendable {
    /// Never accepted before: decode it, map it, store it with its key.
    case fresh
    /// Answer as the first time, with every event a duplicate.
    case duplicate
    /// Answer 401.
    case replayed
}
