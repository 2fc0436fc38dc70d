import ConsentDomain
import Models
import Postgres
import Sealing
import ServiceKit

extension PrivacyDesk {
    /// A request with what each service reported and what has happened to it.
    func view(of id: PrivacyRequestID, in session: some PostgresSession) async throws -> JSON {
        guard let request = try await PrivacyRequestStore.get(id, in: session) else { throw Self.unknown }
        return request.json(
            results: try await PrivacyResultStore.results(of: id, vault: vault, in: session),
            steps: try await PrivacyStepStore.steps(of: id, vault: vault, in: session))
    }
}

extension StoredPrivacyRequest {
    /// With the results and the history when they are given. What was found for somebody is in the bundle alone.
    func json(results: [PrivacyResult]? = nil, steps: [PrivacyStep]? = nil) -> JSON {
        func time(_ instant: Instant?) -> JSON { instant.map { .string($0.rfc3339) } ?? .null }
        func text(_ text: String?) -> JSON { text.map { .string($0) } ?? .null }
        var members: [String: JSON] = [
            "id": .string(id.description), "type": .string(kind.rawValue),
            "regime": .string(lifecycle.regime.rawValue), "profileId": .string(profileID.description),
            "profileIds": .array(profileIDs.map { .string($0.description) }),
            "state": .string(lifecycle.state.rawValue), "reason": text(lifecycle.reason),
            "status": .string(status.rawValue), "requestedAt": .string(lifecycle.receivedAt.rfc3339),
            "dueAt": .string(lifecycle.dueAt.rfc3339), "extendedAt": time(lifecycle.extendedAt),
            "verifiedAt": time(lifecycle.verifiedAt), "endedAt": time(lifecycle.endedAt),
            "completedAt": time(completedAt), "assignee": text(assignee), "reference": text(reference),
        ]
        if let results {
            members["results"] = .array(results.map { $0.json(withFindings: kind.work == .erasure) })
        }
        if let steps { members["steps"] = .array(steps.map(\.json)) }
        return .object(members)
    }
}

extension PrivacyStep {
    var json: JSON {
        [
            "at": .string(at.rfc3339), "event": .string(event), "by": .string(caller),
            "note": detail.map { .string($0) } ?? .null,
        ]
    }
}

extension PrivacyResult {
    func json(withFindings: Bool) -> JSON {
        var members: [String: JSON] = [
            "service": .string(service.rawValue), "status": .string(status.rawValue),
            "error": error.map { .string($0) } ?? .null,
            "reportedAt": reportedAt.map { .string($0.rfc3339) } ?? .null,
        ]
        if withFindings { members["result"] = result ?? .null }
        return .object(members)
    }
}
