import IngestionDomain
import Models

/// Knows the way in which one kind of sender signs.
protocol WebhookVerifier: Sendable {
    /// Whether the request is its sender's, unaltered and of now; a refusal is a 401. Whether it was accepted before
    /// the caller learns from the replay key, which it keeps.
    func verify(
        _ request: WebhookRequest, secret: WebhookSecret, now: Instant
    ) throws(WebhookRefusal) -> VerifiedWebhook
}

extension WebhookAuthentication {
    /// The verifier of this way to sign.
    var verifier: any WebhookVerifier {
        switch self {
        case .hubspot: HubSpotVerifier()
        case .zendesk: ZendeskVerifier()
        case .shopify: ShopifyVerifier()
        case .stripe(let signature): StripeVerifier(signature: signature)
        case .hmac(let signature): HMACVerifier(signature: signature)
        case .secret(let places): SharedSecretVerifier(places: places)
        case .salesforce(let organization, let places):
            SalesforceVerifier(organizationID: organization, places: places)
        }
    }
}
