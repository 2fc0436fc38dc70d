import Models

/// Change events (Salesforce, "Change Data Capture Developer Guide", "Change Event Message Structure"), as a relay from
/// the event bus posts them: one, an array of them, or one inside of an EventBridge or CloudEvents envelope.
enum SalesforceChanges {
    static func read(_ body: JSON) throws(WebhookProblem) -> DecodedWebhook {
        guard let events = body.array ?? (body.object == nil ? nil : [body]) else {
            throw .unexpected(path: "", expected: "a change event or an array of them")
        }
        var decoded = DecodedWebhook(records: [])
        for (index, event) in events.enumerated() {
            let records = records(event)
            decoded.records += records
            if records.isEmpty {
                decoded.unreadable.append(
                    .init(
                        path: String(index),
                        expected:
                            "payload.ChangeEventHeader with entityName, changeType, recordIds and transactionKey",
                        original: event))
            }
        }
        return decoded
    }

    /// One record per id: a change of many records at once is told as one event.
    private static func records(_ event: JSON) -> [InboundRecord] {
        guard
            let payload = event["payload"] ?? event["detail"]?["payload"] ?? event["data"]?["payload"],
            case .object(let fields) = payload, let header = fields["ChangeEventHeader"],
            let entity = header["entityName"]?.string, let change = header["changeType"]?.string,
            let transaction = header["transactionKey"]?.identifierText
        else { return [] }
        let ids = (header["recordIds"]?.array ?? []).compactMap(\.identifierText)
        let sequence = header["sequenceNumber"]?.identifierText ?? "0"
        let commit = header["commitTimestamp"]?.integer.map { Instant(milliseconds: $0) }
        let type = "\(entity).\(change.lowercased())"
        return ids.map { id in
            var object = fields
            object["recordId"] = .string(id)
            var meta: [String: JSON] = ["entity": .string(entity), "change": .string(change)]
            meta["replayId"] = event["event"]?["replayId"]
            return InboundRecord(
                provider: .salesforce, type: type, id: "\(transaction):\(sequence):\(id)", occurredAt: commit,
                object: .object(object), meta: meta)
        }
    }
}
