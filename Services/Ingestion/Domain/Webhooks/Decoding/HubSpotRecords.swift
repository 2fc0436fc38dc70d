import Models

/// HubSpot's array of subscription events (HubSpot developers, "Webhooks API", "Webhook payloads").
///
/// Apps of the newer platform are sent `object.creation` with `objectTypeId: 0-1` for what others are sent as
/// `contact.creation`; both become the latter, so that one mapping serves both.
enum HubSpotRecords {
    static func read(_ webhook: VerifiedWebhook) throws(WebhookProblem) -> DecodedWebhook {
        let body = try webhook.json()
        // A single event in place of the array is what some relays make of it.
        guard let events = body.array ?? (body.object == nil ? nil : [body]) else {
            throw .unexpected(path: "", expected: "an array of subscription events")
        }
        var decoded = DecodedWebhook(records: [])
        for (index, event) in events.enumerated() {
            if let record = record(event) {
                decoded.records.append(record)
            } else {
                decoded.unreadable.append(
                    .init(
                        path: String(index),
                        expected: "an event with subscriptionType, objectId and occurredAt",
                        original: event))
            }
        }
        return decoded
    }

    private static func record(_ event: JSON) -> InboundRecord? {
        guard let written = event["subscriptionType"]?.string, !written.isEmpty,
            let occurredAt = event["occurredAt"]?.integer
        else { return nil }
        let objectType = event["objectTypeId"]?.string
        let type = type(written, objectType)
        // A merge names its objects otherwise; a conversation's event has an objectId as well.
        guard
            let object = (event["objectId"] ?? event["primaryObjectId"] ?? event["newObjectId"])?
                .identifierText
        else { return nil }
        // HubSpot says of eventId that it is not guaranteed to be unique, so what it tells of is part of the id.
        // attemptNumber, which differs with each delivery, is not.
        let id = [
            event["portalId"]?.identifierText, type, object, event["eventId"]?.identifierText,
            event["subscriptionId"]?.identifierText, event["propertyName"]?.string, String(occurredAt),
        ].map { $0 ?? "" }.joined(separator: ":")
        var meta: [String: JSON] = [:]
        meta["portalId"] = event["portalId"]
        meta["subscriptionType"] = .string(written)
        return InboundRecord(
            provider: .hubspot, type: type, id: id, occurredAt: Instant(milliseconds: occurredAt),
            object: event,
            meta: meta)
    }

    /// `object.merge` of `0-1` is `contact.merge` (HubSpot developers, "Object type IDs").
    private static func type(_ written: String, _ objectType: String?) -> String {
        guard written.hasPrefix("object."), let objectType else { return written }
        let name: String
        switch objectType {
        case "0-1": name = "contact"
        case "0-2": name = "company"
        case "0-3": name = "deal"
        case "0-5": name = "ticket"
        case "0-7": name = "product"
        case "0-8": name = "line_item"
        default: name = objectType
        }
        return name + "." + written.dropFirst("object.".count)
    }
}
