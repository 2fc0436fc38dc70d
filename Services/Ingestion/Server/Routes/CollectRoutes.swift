import Foundation
import HTTPTypes
import IngestionDomain
import Models
import ServiceKit

/// The tracking API: what SDKs send events to.
struct CollectRoutes: Sendable {
    let collector: Collector
    let limits: IngestionLimits
    let importing: IngestionLimits

    func add(to router: ServiceRouter) {
        for (name, call) in CollectingCall.all { add("/v1/\(name)", call, to: router) }
        // Where RudderStack's SDK sends what is left when a page is closed.
        add("/beacon/v1/batch", .batch, to: router)
    }

    private func add(_ path: String, _ call: CollectingCall, to router: ServiceRouter) {
        router.post(path, access: .open) { request in
            try await CrossOrigin.answer { try await collect(call, request) }
        }
        router.on(.options, path, .open) { _ in CrossOrigin.preflight }
        router.direct(path) { request, respond in
            collectDirectly(call, request) { outcome in respond { try Self.answer(call, outcome) } }
        }
    }

    /// The same without a task, as nearly everything comes: JSON with a key that was seen before.
    private func collectDirectly(
        _ call: CollectingCall, _ request: DirectRequest,
        then respond: @escaping @Sendable (Result<Collector.Outcome, any Error>) -> Void
    ) -> Bool {
        guard Self.plainTypes.contains(request.contentType ?? "") else { return false }
        let limits = call == .importing ? importing : limits
        guard request.body.count <= limits.bodyBytes else { return false }
        return collector.collect(request, call: call, limits: limits, then: respond)
    }

    private static let repeated = RepeatedAnswer(
        headers: CrossOrigin.readable(.bytes([], contentType: "application/json")).headers)

    private static func answer(
        _ call: CollectingCall, _ outcome: Result<Collector.Outcome, any Error>
    ) throws -> DirectAnswer {
        do {
            let outcome = try outcome.get()
            try check(outcome, of: call)
            return .repeated(repeated, body: outcome.text)
        } catch {
            throw CrossOrigin.readable(error)
        }
    }

    /// As SDKs and browsers write them.
    private static let plainTypes: Set<String> = [
        "", "application/json", "text/plain", "application/json; charset=utf-8", "text/plain;charset=UTF-8",
    ]

    /// A call with a single item fails when its item is refused.
    private static func check(_ outcome: Collector.Outcome, of call: CollectingCall) throws(Problem) {
        // What consent keeps from being stored is no mistake of the sender's, and not to be sent again.
        if case .single = call, case .refused(let refusal)? = outcome.verdicts.first,
            refusal.reason != .consent
        {
            throw Problem.badRequest(refusal.detail, type: "refused-\(refusal.reason.rawValue)")
        }
    }

    private func collect(_ call: CollectingCall, _ request: ServiceRequest) async throws -> ServiceResponse {
        // Browsers send text/plain, because that needs no preflight.
        guard ["application/json", "text/plain", ""].contains(request.mediaType) else {
            throw Problem.unsupportedMediaType("application/json or text/plain")
        }
        let isStrict = try request.flag("strict")
        let limits = call == .importing ? importing : limits
        let body = try await request.decodedBody(maxBytes: limits.bodyBytes)
        let outcome = try await collector.collect(
            body, call: call, limits: limits, request: request, keyInQuery: try request.query("writeKey"))
        if isStrict, outcome.verdicts.contains(where: \.isBad) {
            throw Problem(
                status: .badRequest, type: "bad-items", title: "Some items could not be accepted",
                detail: "`items` says what became of each; those that were accepted stay accepted",
                extensions: outcome.json.object ?? [:])
        }
        try Self.check(outcome, of: call)
        return outcome.response
    }
}

extension ServiceRequest {
    /// A query parameter that is `true` or `false`; false when absent.
    fileprivate func flag(_ name: String) throws -> Bool {
        switch try query(name) {
        case nil, "false": false
        case "true": true
        default: throw Problem.badRequest("`\(name)` must be true or false")
        }
    }
}

extension Verdict {
    /// Whether the item has not been accepted, now or before.
    var isBad: Bool {
        switch self {
        case .accepted, .duplicate: false
        case .quarantined, .refused: true
        }
    }
}
