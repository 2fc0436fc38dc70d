import Models

/// Zendesk's events (Zendesk developers, "Webhook event types", "Event schema"): one object with type, id, time,
/// detail and event. What a trigger or automation sends is written by an administrator; the example mapping shows a
/// body of the same form for it, and an id is not needed there.
enum ZendeskRecords {
    private static let prefix = "zen:event-type:"

    static func read(_ webhook: VerifiedWebhook) throws(WebhookProblem) -> DecodedWebhook {
        let event = try webhook.object()
        guard let written = event["type"]?.string, !written.isEmpty else {
            throw .unexpected(
                path: "type", expected: "the type of the event, such as zen:event-type:ticket.created")
        }
        let type = written.hasPrefix(prefix) ? String(written.dropFirst(prefix.count)) : written
        var meta: [String: JSON] = [:]
        meta["accountId"] = event["account_id"]
        meta["subject"] = event["subject"]
        return DecodedWebhook(records: [
            InboundRecord(
                provider: .zendesk, type: type,
                // The header with the invocation's id is not signed, so a body without an id names itself.
                id: event["id"]?.identifierText.map { "\(type):\($0)" } ?? "\(type):\(webhook.bodyDigest)",
                occurredAt: event["time"]?.string.flatMap(VendorTime.instant), object: event, meta: meta)
        ])
    }
}
