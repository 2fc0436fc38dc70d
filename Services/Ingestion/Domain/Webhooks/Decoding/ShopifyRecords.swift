import Models

/// A Shopify webhook (Shopify developers, "About webhooks"): the resource is the body, and headers say what happened to
/// it. Shopify signs the body alone: whoever can replay a request can also call it another topic, so a mapping that
/// relies on a state (paid, cancelled) should test it in the body, as the example does.
enum ShopifyRecords {
    static func read(_ webhook: VerifiedWebhook) throws(WebhookProblem) -> DecodedWebhook {
        guard let topic = webhook.request.header("x-shopify-topic")?.lowercased() else {
            throw .unexpected(path: "X-Shopify-Topic", expected: "there")
        }
        let object = try webhook.object()
        let shop = webhook.request.header("x-shopify-shop-domain")?.lowercased()
        var meta: [String: JSON] = ["topic": .string(topic)]
        meta["shop"] = shop.map { .string($0) }
        meta["apiVersion"] = webhook.request.header("x-shopify-api-version").map { .string($0) }
        // A retry carries the payload of the first attempt, so the body names the record; the ids in the headers
        // are not signed. Two changes within one second still differ in their bodies.
        return DecodedWebhook(records: [
            InboundRecord(
                provider: .shopify, type: topic, id: "\(topic):\(webhook.bodyDigest)",
                occurredAt: occurredAt(topic, object)
                    ?? webhook.request.header("x-shopify-triggered-at").flatMap(VendorTime.instant),
                object: object, meta: meta)
        ])
    }

    private static func occurredAt(_ topic: String, _ object: JSON) -> Instant? {
        let keys: [String]
        switch topic.split(separator: "/").last {
        case "create": keys = ["created_at", "updated_at"]
        case "cancelled": keys = ["cancelled_at", "updated_at"]
        case "paid": keys = ["processed_at", "updated_at"]
        default: keys = ["updated_at", "created_at"]
        }
        return keys.lazy.compactMap { object[$0]?.string.flatMap(VendorTime.instant) }.first
    }
}
