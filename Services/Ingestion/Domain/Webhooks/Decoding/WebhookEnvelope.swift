import Models

/// How to find records in JSON that follows no provider's layout, and what each is called.
package struct WebhookEnvelope: Hashable, Sendable {
    /// Where the records are; nil where the body is one.
    package var records: MappingPath?
    package var type: MappingValue
    /// Absent, the body names the record.
    package var id: MappingValue?
    package var time: MappingValue?

    package init(
        records: MappingPath? = nil, type: MappingValue, id: MappingValue? = nil, time: MappingValue? = nil
    ) {
        self.records = records
        self.type = type
        self.id = id
        self.time = time
    }

    /// `{"id":…,"type":…,"created":…,"data":{"object":…}}` (Stripe API reference, "The Event object").
    package static let stripe = WebhookEnvelope(
        type: MappingValue(.path(.member("type"))), id: MappingValue(.path(.member("id"))),
        time: MappingValue(.path(.member("created")), conversion: .timeSeconds))

    func read(_ webhook: VerifiedWebhook, provider: WebhookProvider) throws(WebhookProblem) -> DecodedWebhook
    {
        let body = try webhook.json()
        var elements = [body]
        if let records {
            let found = records.values(in: body)
            elements = records.isList ? found : found.flatMap { $0.array ?? [$0] }
            guard !elements.isEmpty else {
                throw .unexpected(path: records.text, expected: "the records that the envelope speaks of")
            }
        }
        let meta: [String: JSON] = provider == .json ? ["header": Self.headers(webhook.request)] : [:]
        var decoded = DecodedWebhook(records: [])
        for (index, element) in elements.enumerated() {
            let unnamed = elements.count == 1 ? webhook.bodyDigest : "\(webhook.bodyDigest):\(index)"
            if let record = record(element, unnamed: unnamed, provider, meta) {
                decoded.records.append(record)
            } else {
                decoded.unreadable.append(
                    .init(
                        path: records == nil ? "" : String(index),
                        expected: "a record whose type, id and time are where the envelope says",
                        original: element))
            }
        }
        return decoded
    }

    private func record(
        _ element: JSON, unnamed: String, _ provider: WebhookProvider, _ meta: [String: JSON]
    ) -> InboundRecord? {
        var record = InboundRecord(provider: provider, type: "", id: unnamed, object: element, meta: meta)
        let scope = MappingValue.Scope(here: element, record: record)
        do {
            guard let type = try type.json(in: scope, member: "type")?.identifierText else { return nil }
            record.type = type
            if let id, let value = try id.json(in: scope, member: "id") {
                guard let text = value.identifierText else { return nil }
                record.id = "\(type):\(text)"
            }
            if let time, let value = try time.json(in: scope, member: "time") {
                guard let instant = value.string.flatMap(VendorTime.instant) else { return nil }
                record.occurredAt = instant
            }
        } catch {
            return nil
        }
        return record
    }

    /// Headers for `meta: header.x-github-event`, without those that open doors.
    private static func headers(_ request: WebhookRequest) -> JSON {
        .object(
            request.headers.filter { name, _ in
                name != "authorization" && name != "cookie" && !name.contains("signature")
                    && !name.contains("token")
            }.mapValues { .string($0) })
    }
}

extension MappingPath {
    /// The path to one member.
    static func member(_ name: String) -> MappingPath { MappingPath(steps: [.member(name)], text: name) }
}

extension WebhookEnvelope {
    /// Reads `{records: items[], type: {path: event}, id: {path: id}, time: {path: at, as: timeMillis}}`.
    init?(_ value: JSON, _ path: String, _ log: MappingLog) {
        guard
            var reader = MappingReader(
                value, path, log, expected: "an object with type, and records, id, time")
        else { return nil }
        var records: MappingPath?
        if let written = reader.optional("records") {
            records = written.string.flatMap { MappingPath($0) }
            if records == nil {
                log.report(written, reader.path(to: "records"), expected: MappingValue.pathExpectation)
            }
        }
        let type = reader.required("type", expected: "where a record says what it is")
            .flatMap { MappingValue($0, reader.path(to: "type"), log) }
        let id = reader.optional("id").flatMap { MappingValue($0, reader.path(to: "id"), log) }
        let time = reader.optional("time").flatMap { MappingValue($0, reader.path(to: "time"), log) }
        reader.finish()
        guard let type else { return nil }
        self.init(records: records, type: type, id: id, time: time)
    }
}
