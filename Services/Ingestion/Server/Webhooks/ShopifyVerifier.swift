import IngestionDomain
import Models

/// Shopify's signature (Shopify developers, "Deliver webhooks through HTTPS", "Verify the webhook"): base64 of the
/// HMAC-SHA256 of the body under the app's client secret. It covers neither time nor headers.
///
/// A retry is the same to the byte for four hours (Shopify changelog, "Updates to webhook retry mechanism"), and after
/// eight failures in a row Shopify deletes the subscription: an acknowledgement that got lost must not end in 401s. So
/// a repetition within five hours is acknowledged and has no effect, and later it is refused as a replay. The times in
/// the body are signed, and a body that has last changed long ago is stale whether it was seen before or not.
struct ShopifyVerifier: WebhookVerifier {
    private static let signature = "x-shopify-hmac-sha256"
    private static let topic = "x-shopify-topic"
    /// How long Shopify tries, and an hour.
    static let retryWindow: Duration = .seconds(5 * 3600)
    /// Older deliveries are not Shopify's, which tried for 48 hours at the most before 2024.
    static let oldest: Duration = .seconds(72 * 3600)
    /// As long as messageIds are remembered.
    private static let keep: Duration = .seconds(30 * 86_400)

    init() {}

    func verify(
        _ request: WebhookRequest, secret: WebhookSecret, now: Instant
    ) throws(WebhookRefusal) -> VerifiedWebhook {
        let given = try request.required(Self.signature)
        // One change has several topics (orders/create, orders/paid) and may have one body, so the topic belongs to
        // the key although it isn't signed.
        let topic = try request.required(Self.topic).lowercased()
        guard try Signing.isSigned(request.body, by: [given], secret: secret, text: Signing.base64) else {
            throw .mismatch
        }
        if let changed = Self.changed(request.body), now - changed > Self.oldest { throw .stale }
        return VerifiedWebhook(
            request, scheme: "shopify", signed: Array("\(topic)\n".utf8) + request.body,
            rule: .acknowledge(within: Self.retryWindow), keep: Self.keep)
    }

    /// The last of the times that the resource itself tells; nil where it has none (`customers/redact`).
    private static func changed(_ body: [UInt8]) -> Instant? {
        guard let object = try? JSONParser.parse(body, limits: .init(maxDepth: 64)) else { return nil }
        return ["updated_at", "created_at", "processed_at", "cancelled_at"]
            .compactMap { object[$0]?.string.flatMap(VendorTime.instant) }.max()
    }
}
