import HTTPTypes
import IngestionDomain
import Models
import Postgres
import ProfileStore
import ServiceKit

/// Turns a verified request into what it comes to: decoded, mapped, and read by the parser that reads everybody's.
struct WebhookReading: Sendable {
    let profiles: ProfileStore
    let pool: PostgresPool
    let limits: IngestionLimits
    let sources: SourceDirectory
    let reading: ItemReading

    func contents(
        of webhook: VerifiedWebhook, _ known: KnownWebhook, at now: Instant
    ) async throws -> WebhookContents {
        let decoded = try Self.decode(webhook, known.mapping)
        let source = try await sources.source(known.sourceID) ?? KnownSource(id: known.sourceID)
        let envelope = EventParser.Envelope(sourceID: known.sourceID, receivedAt: now)
        var contents = WebhookContents()
        for record in decoded.records {
            for item in known.mapping.items(for: record, receivedAt: now) {
                contents.lines += try await lines(item, of: record, from: source, envelope, known.mapping)
            }
        }
        contents.lines += decoded.unreadable.map { unreadable in
            let place = unreadable.path.isEmpty ? "the body" : unreadable.path
            return .item(
                .quarantined(
                    QuarantinedItem(
                        refusal: Refusal(.invalid, "\(place) must be \(unreadable.expected)"),
                        hints: ItemHints(), item: Array(unreadable.original.compact.utf8), envelope: envelope)
                ))
        }
        return contents
    }

    private static func decode(
        _ webhook: VerifiedWebhook, _ mapping: WebhookMapping
    ) throws(Problem) -> DecodedWebhook {
        do throws(WebhookProblem) {
            return try WebhookDecoding(provider: mapping.provider, envelope: mapping.envelope).decode(webhook)
        } catch {
            switch error {
            case .notJSON, .notXML, .unexpected:
                throw .badRequest(error.detail, type: "invalid-webhook-body")
            case .mediaType(let expected): throw .unsupportedMediaType(expected)
            case .tooManyRecords:
                throw Problem(
                    status: .contentTooLarge, type: "too-many-records", title: "The request is too large",
                    detail: error.detail)
            }
        }
    }

    /// One for each item, and for a privacy request one for each person that it is about.
    private func lines(
        _ item: MappedItem, of record: InboundRecord, from source: KnownSource,
        _ envelope: EventParser.Envelope, _ mapping: WebhookMapping
    ) async throws -> [WebhookContents.Line] {
        switch item.outcome {
        case .call(let call):
            let bytes = Array(call.compact.utf8)
            return [.item(reading.item(bytes[...], of: source, envelope, EventParser(limits: limits)))]
        case .ignored(let reason): return [.ignored(messageID: item.messageID, reason: reason)]
        case .failed(let reason):
            let subjects = mapping.subjects(of: record)
            return [.item(kept(item, record.json(rule: item.rule), reason, subjects, record, envelope))]
        case .privacyRequest(let request):
            let people = try await people(of: request)
            if people.isEmpty {
                return [
                    .item(
                        kept(
                            item, request.keptJSON,
                            """
                            nobody is known by the identifiers of this request for \(request.kind.rawValue); if the \
                            person is known otherwise, make the request at consent
                            """, request.keptNames, record, envelope))
                ]
            }
            // The profile and not the identifier, so that no address lies in the outbox.
            return people.enumerated().map { index, profile in
                .requested(
                    AcceptedWebhook.PrivacyCall(
                        messageID: index == 0 ? item.messageID : "\(item.messageID):\(index)",
                        body: [
                            "type": .string(request.kind.rawValue),
                            "subject": ["profileId": .string(profile.description)],
                            // The sender's signature was checked, and whom it lets ask is the sender's to know.
                            "verifiedBy": ["method": .string("webhook \(record.provider.rawValue)")],
                        ]))
            }
        }
    }

    /// Everybody whom the sender's own names lead to, or else the first whom another name leads to.
    private func people(of request: MappedPrivacyRequest) async throws -> [ProfileID] {
        var people: [ProfileID] = []
        for identifier in request.own {
            guard let id = try await profiles.canonicalID(of: identifier, in: pool) else { continue }
            if !people.contains(id) { people.append(id) }
        }
        if !people.isEmpty { return people }
        for identifier in request.others {
            if let id = try await profiles.canonicalID(of: identifier, in: pool) { return [id] }
        }
        return []
    }

    /// An item for quarantine. What is known of where it came from goes with it.
    private func kept(
        _ item: MappedItem, _ json: JSON, _ reason: String, _ subjects: [String], _ record: InboundRecord,
        _ envelope: EventParser.Envelope
    ) -> EventWriter.Item {
        var envelope = envelope
        envelope.context["integration"] = [
            "name": .string(record.provider.rawValue), "type": .string(record.type),
            "rule": item.rule.map { .string($0) } ?? .null,
        ]
        return .quarantined(
            QuarantinedItem(
                refusal: Refusal(.invalid, "rule \(item.rule ?? "none"): \(reason)"),
                hints: ItemHints(messageID: item.messageID, subjects: subjects),
                item: Array(json.compact.utf8), envelope: envelope))
    }
}
