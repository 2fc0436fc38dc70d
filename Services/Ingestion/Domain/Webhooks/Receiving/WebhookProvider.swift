/// Who sends: it says how requests are signed unless the mapping says otherwise, and how bodies are read.
package enum WebhookProvider: String, CaseIterable, Sendable, Codable {
    case hubspot, zendesk, salesforce, shopify, stripe, cloudevents
    /// Any JSON, which the mapping's `envelope` explains.
    case json
}
