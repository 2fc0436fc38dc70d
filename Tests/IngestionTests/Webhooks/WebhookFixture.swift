import Foundation
import IngestionDomain
import MarkedYAML
import Models
import Testing

@testable import IngestionServer

/// What the tests are about, over and over.
enum WebhookFixture {
    static let secret = "3fa1c7e2-5d0b-4c8e-9d57-secret"
    static let now = Instant(milliseconds: 1_795_441_500_000)

    static let hubSpot = WebhookRequest(
        method: "POST",
        uri: "https://cdp.example.com/v1/webhooks/hubspot?tag=a%3Ab%2Fc%40d%21%281%29%2A%2C%3B%27%24",
        headers: [
            "x-hubspot-signature-v3": WebhookVectors.hubspot, "x-hubspot-request-timestamp": "1795441500000",
            "content-type": "application/json",
        ],
        body: bytes(
            #"[{"eventId":1,"subscriptionId":12345,"portalId":62515,"appId":54321,"occurredAt":1795441490000,"#
                + #""subscriptionType":"contact.creation","attemptNumber":0,"objectId":123,"changeSource":"CRM","#
                + #""changeFlag":"NEW"}]"#))

    static let zendesk = WebhookRequest(
        method: "POST", uri: "https://cdp.example.com/v1/webhooks/zendesk",
        headers: [
            "x-zendesk-webhook-signature": WebhookVectors.zendesk,
            "x-zendesk-webhook-signature-timestamp": "2026-11-23T13:45:00Z",
        ],
        body: bytes(
            #"{"type":"zen:event-type:ticket.created","id":"e1","time":"2026-11-23T13:45:00Z","detail":{"id":"1"}}"#
        ))

    static let shopify = WebhookRequest(
        method: "POST", uri: "https://cdp.example.com/v1/webhooks/shopify",
        headers: [
            "x-shopify-hmac-sha256": WebhookVectors.shopify, "x-shopify-topic": "orders/create",
            "x-shopify-webhook-id": "b54557e4", "x-shopify-shop-domain": "shop.myshopify.com",
        ],
        body: bytes(
            #"{"id":820982911946154508,"updated_at":"2026-11-23T08:44:00-05:00","note":"crème brûlée"}"#))

    static let stripe = WebhookRequest(
        method: "POST", uri: "https://cdp.example.com/v1/webhooks/stripe",
        headers: ["stripe-signature": "t=1795441500,v1=\(WebhookVectors.stripe),v0=00"],
        body: bytes(
            #"{"id":"evt_1","type":"customer.created","created":1795441499,"data":{"object":{"id":"cus_1"}}}"#
        ))

    static func bytes(_ text: String) -> [UInt8] { Array(text.utf8) }

    /// A request that nobody had to verify, for tests of what comes after.
    static func verified(
        _ body: String, headers: [String: String] = ["content-type": "application/json"]
    ) -> VerifiedWebhook {
        VerifiedWebhook(
            verified: WebhookRequest(method: "POST", uri: "https://x/", headers: headers, body: bytes(body)),
            bodyDigest: "digest", replayKey: ReplayKey(text: "k", rule: .refuse, keep: .seconds(1)))
    }

    /// The mapping that is shipped for a provider.
    static func mapping(_ name: String) throws -> WebhookMapping {
        try WebhookMapping(json: yaml(try text(name)))
    }

    /// The text of the mapping that is shipped for a provider.
    static func text(_ name: String) throws -> String {
        let file = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
            .deletingLastPathComponent().deletingLastPathComponent()
            .appending(path: "deploy/examples/webhooks/\(name).yaml")
        return try String(contentsOf: file, encoding: .utf8)
    }

    /// YAML as the server makes JSON of it.
    static func yaml(_ text: String) throws -> JSON {
        try YAMLReader.parse(Array(text.utf8), what: "a mapping", depth: 64).json
    }

    /// What becomes of a body under the mapping that is shipped.
    static func items(
        _ name: String, _ body: String, headers: [String: String] = ["content-type": "application/json"]
    ) throws -> [MappedItem] {
        let mapping = try mapping(name)
        let decoded = try WebhookDecoding(provider: mapping.provider, envelope: mapping.envelope)
            .decode(verified(body, headers: headers))
        #expect(decoded.unreadable.isEmpty)
        return decoded.records.flatMap { mapping.items(for: $0, receivedAt: now) }
    }

    /// The calls among items.
    static func calls(_ items: [MappedItem]) -> [JSON] {
        items.compactMap { if case .call(let json) = $0.outcome { json } else { nil } }
    }

    /// The names that an event gives somebody by ids of other systems.
    static func names(_ event: TrackingEvent) -> [String] {
        Identifier.external(in: event.context).map(\.name)
    }

    /// A call as ingestion takes it, so that the mapping and the parser agree.
    static func event(_ call: JSON) throws -> TrackingEvent {
        try EventParser(limits: IngestionLimits()).parse(
            Array(call.compact.utf8)[...],
            in: EventParser.Envelope(sourceID: SourceID(UUID()), receivedAt: now))
    }
}
