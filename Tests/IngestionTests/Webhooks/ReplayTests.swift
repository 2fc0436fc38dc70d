import IngestionDomain
import Models
import Testing

@testable import IngestionServer

@Suite("Replays of webhooks")
struct ReplayTests {
    private func verified(_ verifier: any WebhookVerifier, _ request: WebhookRequest) throws
        -> VerifiedWebhook
    {
        try verifier.verify(request, secret: .init(WebhookFixture.secret), now: WebhookFixture.now)
    }

    @Test("the same signature a second time is a replay where the sender signs each attempt anew")
    func refused() throws {
        let signed: [(any WebhookVerifier, WebhookRequest)] = [
            (HubSpotVerifier(), WebhookFixture.hubSpot), (ZendeskVerifier(), WebhookFixture.zendesk),
            (StripeVerifier(), WebhookFixture.stripe),
        ]
        for (verifier, request) in signed {
            let key = try verified(verifier, request).replayKey
            #expect(key.verdict(accepted: nil, now: WebhookFixture.now) == .fresh)
            #expect(
                key.verdict(accepted: WebhookFixture.now, now: WebhookFixture.now + .seconds(1)) == .replayed)
            #expect(key.keep >= .seconds(600))
        }
    }

    @Test("Shopify's own retry is acknowledged for five hours and refused after that")
    func shopify() throws {
        let key = try verified(ShopifyVerifier(), WebhookFixture.shopify).replayKey
        #expect(
            key.verdict(accepted: WebhookFixture.now, now: WebhookFixture.now + .seconds(4 * 3600))
                == .duplicate)
        #expect(
            key.verdict(accepted: WebhookFixture.now, now: WebhookFixture.now + .seconds(6 * 3600))
                == .replayed)
    }

    @Test("headers that Shopify doesn't sign make no new delivery of an old one")
    func shopifyHeaders() throws {
        var dressed = WebhookFixture.shopify
        dressed.headers["x-shopify-webhook-id"] = "another"
        dressed.headers["x-shopify-event-id"] = "another"
        dressed.headers["x-shopify-topic"] = "Orders/Create"
        let first = try verified(ShopifyVerifier(), WebhookFixture.shopify)
        let second = try verified(ShopifyVerifier(), dressed)
        #expect(first.replayKey == second.replayKey)
        let decoding = WebhookDecoding(provider: .shopify)
        #expect(try decoding.decode(first).records.map(\.id) == decoding.decode(second).records.map(\.id))
    }

    @Test("a Shopify body that last changed long ago is stale, as its own times say")
    func shopifyStale() {
        let days = WebhookFixture.now + .seconds(73 * 3600)
        #expect(VerificationTests.refusal(ShopifyVerifier(), WebhookFixture.shopify, at: days) == .stale)
    }

    @Test("the key of a body does not depend on how its signature is spelled")
    func spelling() throws {
        var upper = WebhookFixture.stripe
        upper.headers["stripe-signature"] = "v1=\(WebhookVectors.stripe.uppercased()),t=1795441500"
        #expect(
            try verified(StripeVerifier(), upper).replayKey
                == verified(StripeVerifier(), WebhookFixture.stripe).replayKey)
    }

    @Test("the digest of the body is SHA-256")
    func digest() throws {
        #expect(
            try verified(ShopifyVerifier(), WebhookFixture.shopify).bodyDigest == WebhookVectors.shopifyDigest
        )
    }
}
