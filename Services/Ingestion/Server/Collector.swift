import Foundation
import HTTPTypes
import IngestionDomain
import Models
import ServiceKit

/// Takes the body of a call from whatever way it came to its verdicts.
struct Collector: Sendable {
    let directory: SourceDirectory
    let writer: EventWriter
    let clock: ServiceClock
    let rates: SourceRates
    let reading: ItemReading
    let recent: RecentItems

    /// What became of the items of a call.
    struct Outcome: Sendable {
        let items: [EventWriter.Item]
        let verdicts: [Verdict]
    }

    /// The verdicts, once they are committed.
    func collect(
        _ body: [UInt8], call: CollectingCall, limits: IngestionLimits, request: ServiceRequest,
        keyInQuery: String? = nil
    ) async throws -> Outcome {
        let submission = try Self.submission(body, call, limits)
        let source = try await source(of: submission, keyInQuery: keyInQuery, request)
        if !request.isFromService { try rates.check(source.id, items: submission.items.count) }
        let receivedAt = try await clock.now()
        let generation = recent.generation
        let delivery = delivery(
            submission, of: source, limits: limits, receivedAt: receivedAt,
            traceparent: request.traceparent, mayNameProfile: request.isFromService,
            globalPrivacyControl: request.globalPrivacyControl)
        let verdicts = try await writer.write(delivery)
        return outcome(delivery, verdicts, of: submission, since: generation)
    }

    /// The same without a task, for a source that is known already; false where it isn't, and nothing has been done.
    func collect(
        _ request: DirectRequest, call: CollectingCall, limits: IngestionLimits,
        then respond: @escaping @Sendable (Result<Outcome, any Error>) -> Void
    ) -> Bool {
        guard let now = clock.immediate?() else { return false }
        let sender = request.authorization.flatMap(directory.remembered(authorization:))
        do {
            if case .single(let kind) = call, let sender,
                try collectPlain(request, kind, of: sender, limits: limits, at: now, then: respond)
            {
                return true
            }
            let submission = try Self.submission(request.body, call, limits)
            guard
                let source = sender
                    ?? (WriteKey(authorization: request.authorization)
                    ?? submission.writeKey.map(WriteKey.init)).flatMap(directory.remembered)
            else { return false }
            try rates.check(source.id, items: submission.items.count)
            let generation = recent.generation
            let delivery = delivery(
                submission, of: source, limits: limits, receivedAt: now,
                traceparent: request.traceparent, mayNameProfile: false,
                globalPrivacyControl: request.globalPrivacyControl)
            writer.write(delivery) { written in
                respond(written.map { outcome(delivery, $0, of: submission, since: generation) })
            }
        } catch {
            respond(.failure(error))
        }
        return true
    }

    /// Takes the body of a single call for its event, where that is plain; false where it isn't, and nothing has been
    /// done. Whatever a call says beside its event is then said by the event.
    private func collectPlain(
        _ request: DirectRequest, _ kind: TrackingEvent.Kind, of source: KnownSource, limits: IngestionLimits,
        at now: Instant, then respond: @escaping @Sendable (Result<Outcome, any Error>) -> Void
    ) throws -> Bool {
        let envelope = EventParser.Envelope(
            sourceID: source.id, receivedAt: now, sentAt: nil, context: [:], kind: kind,
            mayNameProfile: false,
            globalPrivacyControl: request.globalPrivacyControl
        )
        guard
            let event = reading.plain(request.body[...], of: source, envelope, EventParser(limits: limits))
        else { return false }
        try rates.check(source.id, items: 1)
        let generation = recent.generation
        let delivery = EventWriter.Delivery(
            sourceID: source.id, receivedAt: now, traceparent: request.traceparent, items: [.event(event)])
        let size = request.body.count
        writer.write(delivery) { written in
            respond(
                written.map { verdicts in
                    recent.note(
                        delivery.items, verdicts, of: source.id, at: now, since: generation,
                        size: { _ in size })
                    return Outcome(items: delivery.items, verdicts: verdicts)
                })
        }
        return true
    }

    private func delivery(
        _ submission: Submission, of source: KnownSource, limits: IngestionLimits, receivedAt: Instant,
        traceparent: String?, mayNameProfile: Bool, globalPrivacyControl: Bool
    ) -> EventWriter.Delivery {
        let envelope = EventParser.Envelope(
            sourceID: source.id, receivedAt: receivedAt, sentAt: submission.sentAt,
            context: submission.context, kind: submission.kind, mayNameProfile: mayNameProfile,
            globalPrivacyControl: globalPrivacyControl)
        let parser = EventParser(limits: limits)
        return EventWriter.Delivery(
            sourceID: source.id, receivedAt: receivedAt, traceparent: traceparent,
            items: submission.items.map { reading.item($0, of: source, envelope, parser) })
    }

    /// What became of a delivery, which those who watch the source are shown.
    private func outcome(
        _ delivery: EventWriter.Delivery, _ verdicts: [Verdict], of submission: Submission,
        since generation: Int
    ) -> Outcome {
        recent.note(
            delivery.items, verdicts, of: delivery.sourceID, at: delivery.receivedAt, since: generation
        ) {
            submission.items[$0].count
        }
        return Outcome(items: delivery.items, verdicts: verdicts)
    }

    private static func submission(
        _ body: [UInt8], _ call: CollectingCall, _ limits: IngestionLimits
    ) throws(Problem) -> Submission {
        do throws(Submission.Problem) {
            return try Submission(body: body[...], call: call, limits: limits)
        } catch {
            switch error {
            case .notJSON(let error):
                throw .badRequest(
                    "the body is not JSON: \(error.message) at byte \(error.offset)", type: "invalid-json",
                    errors: [["offset": .integer(Int64(error.offset)), "expected": .string(error.message)]])
            case .noBatch: throw .badRequest("`batch` must be an array of calls")
            case .tooManyItems(let limit):
                throw .badRequest(
                    "a batch may have at most \(limit) items; send it in parts", type: "too-many-items")
            }
        }
    }

    /// The source that a request is from: a service, the user of Basic authentication, or the key in the body or the
    /// query.
    private func source(
        of submission: Submission, keyInQuery: String?, _ request: ServiceRequest
    ) async throws -> KnownSource {
        if request.isFromService { return KnownSource(id: SourceStore.installation) }
        guard
            let key = WriteKey(authorization: request.header(.authorization))
                ?? (submission.writeKey ?? keyInQuery).map(WriteKey.init)
        else {
            throw Problem.writeKeyNeeded(
                "send a write key as the user of Basic authentication, or as `writeKey`")
        }
        guard let source = try await directory.source(of: key) else {
            throw Problem.writeKeyNeeded("the write key is unknown or revoked; make one for a source")
        }
        return source
    }
}

extension Collector.Outcome {
    /// The counts, and a verdict per item in its place.
    var json: JSON { (try? JSONParser.parse(text)) ?? .null }

    /// The same as text, with the members in the order of their names: written by hand, because it is what every call
    /// is answered with.
    var text: [UInt8] {
        var counts = ReconciliationCounts.Count()
        for verdict in verdicts { counts.add(verdict) }
        var text: [UInt8] = []
        text.reserveCapacity(128 + items.count * 80)
        text.append(
            contentsOf: "{\"accepted\":\(counts.accepted),\"duplicate\":\(counts.duplicate),\"items\":[".utf8)
        for (index, (item, verdict)) in zip(items, verdicts).enumerated() {
            text.append(contentsOf: (index == 0 ? "{\"messageId\":" : ",{\"messageId\":").utf8)
            (item.messageID.map { .string($0) } ?? JSON.null).write(into: &text)
            if let refusal = verdict.refusal {
                text.append(contentsOf: ",\"reason\":".utf8)
                JSON.string("\(refusal.reason.rawValue): \(refusal.detail)").write(into: &text)
            }
            text.append(contentsOf: ",\"status\":\"\(verdict.name)\"}".utf8)
        }
        text.append(
            contentsOf:
                "],\"quarantined\":\(counts.quarantined),\"received\":\(items.count),\"refused\":\(counts.refused),\"success\":true}"
                .utf8)
        return text
    }

    var response: ServiceResponse { .bytes(text, contentType: "application/json") }
}

extension Verdict {
    /// As the API writes it.
    var name: String {
        switch self {
        case .accepted: "accepted"
        case .duplicate: "duplicate"
        case .quarantined: "quarantined"
        case .refused: "refused"
        }
    }

    var refusal: Refusal? {
        switch self {
        case .accepted, .duplicate: nil
        case .quarantined(let refusal), .refused(let refusal): refusal
        }
    }
}

extension ServiceRequest {
    /// Whether the browser sends `Sec-GPC: 1` (Global Privacy Control).
    fileprivate var globalPrivacyControl: Bool {
        headers.contains { $0.name.canonicalName == "sec-gpc" && $0.value == "1" }
    }

    fileprivate var isFromService: Bool {
        if case .service = caller { true } else { false }
    }
}

extension Problem {
    static func writeKeyNeeded(_ detail: String) -> Problem {
        var problem = Problem.unauthorized(detail)
        problem.headers[.wwwAuthenticate] = #"Basic realm="martlet""#
        return problem
    }
}
