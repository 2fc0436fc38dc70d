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
