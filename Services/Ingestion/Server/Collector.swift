import Foundation
import HTTPTypes
import IngestionDomain
import Models
import ServiceKit

/// Takes the body of a call from whatever way it came to its verdicts.
struct Collector: Sendable {
    let directory: WriteKeyDirectory
    let writer: EventWriter
    let clock: ServiceClock
    let rates: SourceRates

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
        if !request.isFromService { try rates.check(source, items: submission.items.count) }
        let receivedAt = try await clock.now()
        let envelope = EventParser.Envelope(
            sourceID: source, receivedAt: receivedAt, sentAt: submission.sentAt, context: submission.context,
            kind: submission.kind, mayNameProfile: request.isFromService)
        let parser = EventParser(limits: limits)
        let items = submission.items.map { Self.item($0, envelope, parser) }
        let verdicts = try await writer.write(
            EventWriter.Delivery(
                sourceID: source, receivedAt: receivedAt, traceparent: request.traceparent, items: items))
        return Outcome(items: items, verdicts: verdicts)
    }

    /// One item as it is to be written.
    static func item(
        _ item: ArraySlice<UInt8>, _ envelope: EventParser.Envelope, _ parser: EventParser
    ) -> EventWriter.Item {
        do throws(Refusal) {
            return .event(try parser.parse(item, in: envelope))
        } catch {
            let hints = parser.hints(of: item)
            guard error.reason.isKept else { return .refused(error, messageID: hints.messageID) }
            return .quarantined(
                QuarantinedItem(
                    refusal: error, hints: hints, item: withoutWriteKey(Array(item)), envelope: envelope))
        }
    }

    /// A single call's body is its item, and may hold the write key, which is kept nowhere.
    private static func withoutWriteKey(_ item: [UInt8]) -> [UInt8] {
        guard let key = try? JSONParser.members(of: item[...]).filter({ $0.key == "writeKey" }), !key.isEmpty
        else { return item }
        var kept = item
        for value in key.map(\.value).reversed() {
            kept.replaceSubrange(
                value.indices, with: #""""#.utf8 + [UInt8](repeating: 0x20, count: max(0, value.count - 2)))
        }
        return kept
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
    ) async throws -> SourceID {
        if request.isFromService { return SourceStore.installation }
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
    var json: JSON {
        var counts: [String: Int64] = ["accepted": 0, "duplicate": 0, "quarantined": 0, "refused": 0]
        let lines: [JSON] = zip(items, verdicts).map { item, verdict in
            var line: [String: JSON] = ["messageId": item.messageID.map { .string($0) } ?? .null]
            line["status"] = .string(verdict.name)
            if let refusal = verdict.refusal {
                line["reason"] = .string("\(refusal.reason.rawValue): \(refusal.detail)")
            }
            counts[verdict.name, default: 0] += 1
            return .object(line)
        }
        var members = counts.mapValues(JSON.integer)
        members["success"] = true
        members["received"] = .integer(Int64(items.count))
        members["items"] = .array(lines)
        return .object(members)
    }
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
