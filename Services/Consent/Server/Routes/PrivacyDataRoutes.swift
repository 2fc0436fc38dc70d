import ConsentDomain
import HTTPTypes
import Models
import Postgres
import ServiceKit

/// What was found for somebody who asked what is known of them: all of it, or what they have provided as data.
struct PrivacyDataRoutes: Sendable {
    let pool: PostgresPool
    let desk: PrivacyDesk
    let signer: HeadSigner

    private enum Format: String, CaseIterable { case json, csv }

    func add(to router: ServiceRouter) {
        router.get("/v1/privacy-requests/{id}/bundle", scope: .privacyRead, touches: .identifiers) {
            try await bundle($0)
        }
        router.get("/v1/privacy-requests/{id}/data", scope: .privacyRead, touches: .identifiers) {
            try await data($0)
        }
        router.get("/v1/privacy-requests/{id}/receipt", scope: .privacyRead, touches: .pseudonyms) {
            try await receipt($0)
        }
    }

    /// Everything that the services found, once all have reported.
    private func bundle(_ request: ServiceRequest) async throws -> ServiceResponse {
        let (stored, results) = try await found(request)
        return .json([
            "request": stored.json(results: results), "services": .object(Self.findings(results)),
        ])
    }

    /// What the person has provided, for a machine to read.
    private func data(_ request: ServiceRequest) async throws -> ServiceResponse {
        var format = Format.json
        if let text = try request.query("format") {
            guard let known = Format(rawValue: text) else {
                throw Problem.badRequest("`format` must be json or csv")
            }
            format = known
        }
        let (_, results) = try await found(request)
        let data = PortableData.of(Self.findings(results))
        switch format {
        case .json: return .json(data)
        case .csv:
            return .bytes(
                Array(PortableData.csv(of: data).utf8), contentType: "text/csv; charset=utf-8; header=present"
            )
        }
    }

    /// What was done, signed.
    private func receipt(_ request: ServiceRequest) async throws -> ServiceResponse {
        let id = try request.pathID("id", as: PrivacyRequestID.self)
        guard let stored = try await PrivacyRequestStore.get(id, in: pool) else { throw PrivacyDesk.unknown }
        guard stored.lifecycle.state == .completed else {
            throw Problem.conflict(
                "the request is \(stored.lifecycle.state.rawValue); there is a receipt once it is completed",
                type: "not-completed")
        }
        let receipt = PrivacyReceipt(
            requestID: id, profileID: stored.profileID, lifecycle: stored.lifecycle,
            stores: try await PrivacyResultStore.stores(
                of: id, isErasure: stored.kind.work == .erasure, vault: desk.vault, in: pool),
            recipients: try await PrivacyRecipientStore.recipients(of: id, in: pool).map(\.json))
        return .json(try signer.sign(receipt))
    }

    private static func findings(_ results: [PrivacyResult]) -> [String: JSON] {
        Dictionary(
            results.map { ($0.service.rawValue, $0.result ?? .null) }, uniquingKeysWith: { first, _ in first }
        )
    }

    /// The results of a request that may be shown.
    private func found(
        _ request: ServiceRequest
    ) async throws -> (StoredPrivacyRequest, [PrivacyResult]) {
        let id = try request.pathID("id", as: PrivacyRequestID.self)
        guard let stored = try await PrivacyRequestStore.get(id, in: pool) else { throw PrivacyDesk.unknown }
        guard stored.kind.discloses else {
            throw Problem.notFound(
                "only a request of access, portability or know finds anything to show", type: "no-bundle")
        }
        let results = try await PrivacyResultStore.results(of: id, vault: desk.vault, in: pool)
        switch stored.lifecycle.state {
        case .received, .verifying: throw PrivacyDesk.problem(.notVerified)
        case .refused, .cancelled:
            throw Problem.conflict(
                "the request was \(stored.lifecycle.state.rawValue), so there is nothing to show",
                type: "privacy-request-ended")
        case .inProgress where stored.status == .pending:
            let missing = results.filter { $0.status == .pending }.map(\.service.rawValue)
            throw Problem.conflict(
                "not all services have reported yet; missing: \(missing.joined(separator: ", "))",
                type: "privacy-request-pending")
        case .inProgress, .completed: break
        }
        if results.contains(where: { $0.status == .completed && $0.result == nil }) {
            throw SubjectResolver.erased
        }
        return (stored, results)
    }
}
