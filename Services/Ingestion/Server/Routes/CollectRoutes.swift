import Foundation
import HTTPTypes
import IngestionDomain
import Models
import ServiceKit

/// The tracking API: what SDKs send events to.
struct CollectRoutes: Sendable {
    let limits: IngestionLimits
    let directory: WriteKeyDirectory
    let writer: EventWriter
    let clock: ServiceClock

    func add(to router: ServiceRouter) {
        for (name, call) in CollectingCall.all {
            router.post("/v1/\(name)", access: .open) { request in
                try await CrossOrigin.answer { try await collect(call, request) }
            }
            router.on(.options, "/v1/\(name)", .open) { _ in CrossOrigin.preflight }
        }
    }

    private func collect(_ call: CollectingCall, _ request: ServiceRequest) async throws -> ServiceResponse {
        // Browsers send text/plain, because that needs no preflight.
        guard ["application/json", "text/plain", ""].contains(request.mediaType) else {
            throw Problem.unsupportedMediaType("application/json or text/plain")
        }
        if let encoding = request.header(.contentEncoding), encoding.lowercased() != "identity" {
            throw Problem.unsupportedMediaType("the body without a Content-Encoding")
        }
        let body = try await request.body(maxBytes: limits.bodyBytes)
        let submission = try Self.submission(body, call, limits)
        let source = try await source(of: submission, request)
        let receivedAt = try await clock.now()

        let envelope = EventParser.Envelope(
            sourceID: source, receivedAt: receivedAt, sentAt: submission.sentAt, context: submission.context,
            kind: submission.kind, mayNameProfile: request.isFromService)
        let parser = EventParser(limits: limits)
        let items = submission.items.map { item in
            do throws(Refusal) {
                return EventWriter.Item.event(try parser.parse(item, in: envelope))
            } catch {
                return .refused(error, messageID: parser.messageID(ofRefused: item))
            }
        }
        let verdicts = try await writer.write(
            EventWriter.Delivery(
                sourceID: source, receivedAt: receivedAt, traceparent: request.traceparent, items: items))
        if case .single = call, case .refused(let refusal)? = verdicts.first {
            throw Problem(refusal)
        }
        return .json(Self.answer(items, verdicts))
    }

    private static func submission(
        _ body: [UInt8], _ call: CollectingCall, _ limits: IngestionLimits
    ) throws(Problem) -> Submission {
        do throws(Submission.Problem) {
            return try Submission(body: body[...], call: call, limits: limits)
        } catch {
            switch error {
            case .notJSON(let error): throw Problem.notJSON(error)
            case .noBatch: throw .badRequest("`batch` must be an array of calls")
            case .tooManyItems(let limit):
                throw .badRequest(
                    "a batch may have at most \(limit) items; send it in parts", type: "too-many-items")
            }
        }
    }

    /// The source that the request is from: a service, the user of Basic authentication, or the key in the body.
    private func source(of submission: Submission, _ request: ServiceRequest) async throws -> SourceID {
        if request.isFromService { return SourceStore.installation }
        guard
            let key = WriteKey(authorization: request.header(.authorization))
                ?? submission.writeKey.map(WriteKey.init)
        else {
            throw Problem.writeKeyNeeded(
                "send a write key as the user of Basic authentication, or as `writeKey`")
        }
        guard let source = try await directory.source(of: key) else {
            throw Problem.writeKeyNeeded("the write key is unknown or revoked; make one for a source")
        }
        return source
    }

    private static func answer(_ items: [EventWriter.Item], _ verdicts: [Verdict]) -> JSON {
        var counts = (accepted: 0, duplicate: 0, refused: 0)
        let lines: [JSON] = zip(items, verdicts).map { item, verdict in
            var line: [String: JSON] = ["messageId": item.messageID.map { .string($0) } ?? .null]
            switch verdict {
            case .accepted:
                counts.accepted += 1
                line["status"] = "accepted"
            case .duplicate:
                counts.duplicate += 1
                line["status"] = "duplicate"
            case .refused(let refusal):
                counts.refused += 1
                line["status"] = "refused"
                line["reason"] = .string("\(refusal.reason.rawValue): \(refusal.detail)")
            }
            return .object(line)
        }
        return [
            "success": true, "received": .integer(Int64(items.count)),
            "accepted": .integer(Int64(counts.accepted)),
            "duplicate": .integer(Int64(counts.duplicate)), "refused": .integer(Int64(counts.refused)),
            "items": .array(lines),
        ]
    }
}

extension ServiceRequest {
    fileprivate var isFromService: Bool {
        if case .service = caller { true } else { false }
    }
}

extension Problem {
    fileprivate init(_ refusal: Refusal) {
        self = .badRequest(refusal.detail, type: "refused-\(refusal.reason.rawValue)")
    }

    fileprivate static func writeKeyNeeded(_ detail: String) -> Problem {
        var problem = Problem.unauthorized(detail)
        problem.headers[.wwwAuthenticate] = #"Basic realm="martlet""#
        return problem
    }

    fileprivate static func notJSON(_ error: JSONError) -> Problem {
        .badRequest(
            "the body is not JSON: \(error.message) at byte \(error.offset)", type: "invalid-json",
            errors: [["offset": .integer(Int64(error.offset)), "expected": .string(error.message)]])
    }
}
