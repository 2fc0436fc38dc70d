import FoundationEssentials
import Models

/// CloudEvents 1.0 over HTTP ("HTTP Protocol Binding for CloudEvents" and "JSON Event Format for CloudEvents", 1.0.2):
/// structured, binary and batched.
enum CloudEventRecords {
    static func read(_ webhook: VerifiedWebhook) throws(WebhookProblem) -> DecodedWebhook {
        let type = webhook.request.mediaType
        switch type {
        case "application/cloudevents+json": return decoded([try webhook.json()])
        case "application/cloudevents-batch+json":
            guard let events = try webhook.json().array else {
                throw .unexpected(path: "", expected: "an array of CloudEvents")
            }
            return decoded(events)
        default:
            guard !type.hasPrefix("application/cloudevents") else {
                throw .mediaType(
                    expected: "application/cloudevents+json or application/cloudevents-batch+json")
            }
            guard webhook.request.headers["ce-specversion"] != nil else {
                throw .mediaType(
                    expected: "application/cloudevents+json, or the headers of a CloudEvent (ce-…)")
            }
            return decoded([.object(try binary(webhook))])
        }
    }

    private static func decoded(_ events: [JSON]) -> DecodedWebhook {
        var decoded = DecodedWebhook(records: [])
        for (index, event) in events.enumerated() {
            if let record = record(event) {
                decoded.records.append(record)
            } else {
                decoded.unreadable.append(
                    .init(
                        path: String(index),
                        expected:
                            "a CloudEvent with specversion 1.0, id, source and type, and a time of RFC 3339",
                        original: event))
            }
        }
        return decoded
    }

    private static func record(_ event: JSON) -> InboundRecord? {
        guard case .object(var attributes) = event, attributes["specversion"]?.string == "1.0",
            let id = attributes["id"]?.string, !id.isEmpty,
            let source = attributes["source"]?.string, !source.isEmpty,
            let type = attributes["type"]?.string, !type.isEmpty
        else { return nil }
        var occurredAt: Instant?
        if let time = attributes["time"], !time.isNull {
            guard let instant = time.string.flatMap({ Instant(rfc3339: $0) }) else { return nil }
            occurredAt = instant
        }
        guard let data = data(&attributes) else { return nil }
        // The pair of both is unique (specification, "id"); a space cannot be in a URI.
        return InboundRecord(
            provider: .cloudevents, type: type, id: "\(source) \(id)", occurredAt: occurredAt, object: data,
            meta: attributes)
    }

    /// Takes the data out of the members: JSON as it is, and bytes (`data_base64`) that hold JSON or text.
    private static func data(_ members: inout [String: JSON]) -> JSON? {
        if let data = members.removeValue(forKey: "data") { return data }
        guard let encoded = members.removeValue(forKey: "data_base64") else { return .null }
        guard let bytes = encoded.string.flatMap({ Data(base64Encoded: $0) }) else { return nil }
        let type = members["datacontenttype"]?.string?.lowercased() ?? "application/json"
        if isJSON(type) {
            return try? JSONParser.parse(bytes, limits: .init(maxDepth: WebhookDecoding.depth))
        }
        guard !bytes.contains(0) else { return nil }
        return String(validating: bytes, as: UTF8.self).map { .string($0) }
    }

    /// Types with JSON in them (JSON event format, section 3.1); parameters don't matter.
    private static func isJSON(_ type: String) -> Bool {
        let type = type.prefix { $0 != ";" }
        return type.isEmpty || type.hasSuffix("/json") || type.hasSuffix("+json")
    }

    /// The same members that the event would have in structured mode.
    private static func binary(_ webhook: VerifiedWebhook) throws(WebhookProblem) -> [String: JSON] {
        var members: [String: JSON] = [:]
        for (name, value) in webhook.request.headers where name.hasPrefix("ce-") {
            guard let text = CloudEventHeader.decoded(value) else {
                throw .unexpected(path: name, expected: "percent-encoded UTF-8")
            }
            members[String(name.dropFirst("ce-".count))] = .string(text)
        }
        let type = webhook.request.mediaType
        if !type.isEmpty { members["datacontenttype"] = .string(type) }
        guard !webhook.request.body.isEmpty else { return members }
        if isJSON(type) {
            members["data"] = try webhook.json()
        } else if let text = String(validating: webhook.request.body, as: UTF8.self), !text.utf8.contains(0) {
            members["data"] = .string(text)
        } else {
            throw .mediaType(expected: "data that is JSON or text")
        }
        return members
    }
}
