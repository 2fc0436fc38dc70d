import Models

/// What Salesforce tells, by either of its ways: outbound messages are SOAP, change events are JSON that a relay has
/// taken from the event bus.
enum SalesforceRecords {
    static func read(_ webhook: VerifiedWebhook) throws(WebhookProblem) -> DecodedWebhook {
        let type = webhook.request.mediaType
        if type == "text/xml" || type == "application/xml" || type == "application/soap+xml" {
            return DecodedWebhook(records: try SalesforceMessage(webhook.request.body).records)
        }
        return try SalesforceChanges.read(try webhook.json())
    }
}
