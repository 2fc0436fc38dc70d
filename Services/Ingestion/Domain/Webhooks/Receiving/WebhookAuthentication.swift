/// How requests prove whose they are.
package enum WebhookAuthentication: Hashable, Sendable {
    /// Signature v3.
    case hubspot
    case zendesk
    case shopify
    /// `t=…,v1=…`.
    case stripe(StripeSignature)
    case hmac(HMACSignature)
    /// A secret that is sent along: no proof that nothing was altered, which TLS has to see to.
    case secret([SecretPlace])
    /// The id of the organisation in the message, and a secret that is sent along.
    case salesforce(organizationID: String, [SecretPlace])

    /// What the providers tolerate themselves, HubSpot and Stripe by their documentation.
    package static let tolerance: Duration = .seconds(300)
    /// More than a day would be no protection from replays.
    package static let tolerances: ClosedRange<Duration> = .seconds(1) ... .seconds(86_400)
}

/// A header in the manner of Stripe.
package struct StripeSignature: Hashable, Sendable {
    /// In lower case.
    package var header: String
    package var tolerance: Duration

    package init(header: String = "stripe-signature", tolerance: Duration = WebhookAuthentication.tolerance) {
        self.header = header
        self.tolerance = tolerance
    }
}

/// Where a secret is sent along.
package enum SecretPlace: String, CaseIterable, Sendable {
    /// `Authorization: Bearer …` (RFC 6750).
    case bearer
    /// `Authorization: Basic …` (RFC 7617); the secret is `user:password`.
    case basic
    /// `?access_token=…` (RFC 6750, section 2.3), for senders that can set no header.
    case query
    /// The last part of the path, for senders that can set nothing but the address. Keep it out of access logs.
    case path
}

/// An HMAC as most senders make one, each a little differently.
package struct HMACSignature: Hashable, Sendable {
    package enum Algorithm: String, CaseIterable, Sendable { case sha256, sha512 }
    package enum Encoding: String, CaseIterable, Sendable { case hex, base64 }
    package enum TimeFormat: String, CaseIterable, Sendable { case seconds, milliseconds, rfc3339 }
    /// What a sender signs when it tries again.
    package enum Resends: String, CaseIterable, Sendable {
        /// Anew, so that the same signature twice is a replay.
        case anew
        /// The same again, so that a repetition is acknowledged and has no effect.
        case same
    }

    /// What is signed, piece by piece.
    package enum Part: Hashable, Sendable {
        case text(String)
        case body, timestamp, method, uri
        /// Any other header, by its name in lower case.
        case header(String)
    }

    /// The header with the signature, in lower case. Several signatures are separated by spaces or commas.
    package var header: String
    package var algorithm: Algorithm = .sha256
    package var encoding: Encoding = .hex
    /// What stands before each signature, such as `sha256=`.
    package var prefix: String = ""
    package var timestampHeader: String?
    package var timestampFormat: TimeFormat = .seconds
    package var tolerance: Duration = WebhookAuthentication.tolerance
    package var signed: [Part] = [.body]
    package var resends: Resends = .same
    /// How long a sender that signs no time keeps trying.
    package var retryWindow: Duration = .seconds(86_400)

    package init(header: String) { self.header = header }
}
