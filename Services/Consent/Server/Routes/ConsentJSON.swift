import ConsentDomain
import Models

// The wire forms of what the store reads.

extension LedgerEntry {
    var json: JSON {
        [
            "id": .string(id.description), "profileId": .string(profileID.description),
            "purpose": .string(purpose), "action": .string(action.rawValue), "source": .string(source),
            "textVersion": textVersion.map { .string($0) } ?? .null,
            "locale": locale.map { .string($0) } ?? .null,
            "policyVersion": policyVersion.map { .integer($0) } ?? .null,
            "address": evidence["address"] ?? .null, "userAgent": evidence["userAgent"] ?? .null,
            "occurredAt": .string(occurredAt.rfc3339), "recordedAt": .string(recordedAt.rfc3339),
            "evidence": evidence,
        ]
    }
}

extension StandingConsent {
    var json: JSON {
        [
            "purpose": .string(purpose), "state": .string(decision.state.rawValue),
            "at": .string(decision.at.rfc3339), "ledgerEntry": .string(decision.entry.description),
        ]
    }
}

extension StoredPurpose {
    var json: JSON {
        [
            "id": .string(purpose.id), "name": .string(purpose.name),
            "legalBasis": .string(purpose.legalBasis.rawValue), "textVersion": .string(purpose.textVersion),
            "createdAt": .string(createdAt.rfc3339), "updatedAt": .string(updatedAt.rfc3339),
        ]
    }

    var etag: String { "\"\(version)\"" }
}

extension StoredPrivacyRequest {
    /// With the results when they are given. What was found for a request of access is in its bundle alone.
    func json(results: [PrivacyResult]? = nil) -> JSON {
        var members: [String: JSON] = [
            "id": .string(request.id.description), "type": .string(request.type.rawValue),
            "profileId": .string(request.profileID.description),
            "profileIds": .array(request.profileIDs.map { .string($0.description) }),
            "status": .string(status.rawValue), "requestedAt": .string(request.requestedAt.rfc3339),
            "completedAt": completedAt.map { .string($0.rfc3339) } ?? .null,
        ]
        if let results {
            members["results"] = .array(results.map { $0.json(withFindings: request.type == .erasure) })
        }
        return .object(members)
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
