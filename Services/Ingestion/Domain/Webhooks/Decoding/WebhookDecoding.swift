import Models

/// Reads a verified request into records. One file per provider does the reading; this one chooses it.
package struct WebhookDecoding: Sendable {
    /// Records of one request: HubSpot sends at most 100, Salesforce 100.
    package static let maxRecords = 2500
    /// How deep a body may nest.
    static let depth = 64

    private let provider: WebhookProvider
    private let envelope: WebhookEnvelope

    /// `envelope` is looked at for providers whose bodies have no layout of their own.
    package init(provider: WebhookProvider, envelope: WebhookEnvelope = .stripe) {
        self.provider = provider
        self.envelope = envelope
    }

    package func decode(_ webhook: VerifiedWebhook) throws(WebhookProblem) -> DecodedWebhook {
        let decoded =
            switch provider {
            case .hubspot: try HubSpotRecords.read(webhook)
            case .zendesk: try ZendeskRecords.read(webhook)
            case .salesforce: try SalesforceRecords.read(webhook)
            case .shopify: try ShopifyRecords.read(webhook)
            case .cloudevents: try CloudEventRecords.read(webhook)
            case .stripe, .json: try envelope.read(webhook, provider: provider)
            }
        guard decoded.records.count + decoded.unreadable.count <= Self.maxRecords else {
            throw .tooManyRecords(limit: Self.maxRecords)
        }
        return decoded
    }
}

extension VerifiedWebhook {
    /// The body as JSON.
    func json() throws(WebhookProblem) -> JSON {
        do {
            return try JSONParser.parse(request.body, limits: .init(maxDepth: WebhookDecoding.depth))
        } catch {
            throw .notJSON(error)
        }
    }

    /// The body as one object.
    func object() throws(WebhookProblem) -> JSON {
        let json = try json()
        guard json.object != nil else { throw .unexpected(path: "", expected: "an object") }
        return json
    }
}

extension JSON {
    /// A name or number as the text that an id is made of.
    var identifierText: String? {
        switch self {
        case .string(let text): text.trimmed.isEmpty ? nil : text.trimmed
        case .integer(let value): String(value)
        // Ids beyond Int64 don't exist; what has a fraction is none.
        default: integer.map { String($0) }
        }
    }
}
