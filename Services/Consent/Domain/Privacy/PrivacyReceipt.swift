package import Models

/// What is signed about a request that was carried out: each store, how much it was, and the hash of what it reported.
///
/// It names no person but by the id that nobody is known by any more, so it may be kept after an erasure. Of what was found
/// for an access it holds the hash alone: who has the bundle can show that it is what was given out.
package struct PrivacyReceipt: Hashable, Sendable {
    /// What one service reported.
    package struct Store: Hashable, Sendable {
        package let service: ServiceName
        package let reportedAt: Instant?
        /// How much of what, such as `traits`.
        package let counts: [String: Int64]
        /// SHA-256 of the report, in JSON without blanks and with members in the order of their names; nil where it was
        /// reported before hashes were kept, and what was reported is not there any more.
        package let digest: [UInt8]?

        package init(service: ServiceName, reportedAt: Instant?, counts: [String: Int64], digest: [UInt8]?) {
            self.service = service
            self.reportedAt = reportedAt
            self.counts = counts
            self.digest = digest
        }
    }

    /// Marks the document, so that a signature of something else is none of a receipt.
    package static let kind = "martlet-privacy-receipt-1"

    package let requestID: PrivacyRequestID
    package let profileID: ProfileID
    package let lifecycle: PrivacyRequestLifecycle
    package let stores: [Store]
    /// Who outside was told (GDPR article 19).
    package let recipients: [JSON]

    package init(
        requestID: PrivacyRequestID, profileID: ProfileID, lifecycle: PrivacyRequestLifecycle,
        stores: [Store], recipients: [JSON]
    ) {
        self.requestID = requestID
        self.profileID = profileID
        self.lifecycle = lifecycle
        self.stores = stores
        self.recipients = recipients
    }

    /// The numbers of a report of an erasure, by their path; what is no number of things is left out.
    package static func counts(of report: JSON) -> [String: Int64] {
        var counts: [String: Int64] = [:]
        func count(_ value: JSON, at path: String) {
            switch value {
            case .object(let members):
                for (name, value) in members { count(value, at: path.isEmpty ? name : "\(path).\(name)") }
            case .integer(let number) where number >= 0 && !path.isEmpty: counts[path] = number
            default: break
            }
        }
        count(report, at: "")
        return counts
    }

    /// The same receipt is always the same bytes, which are what is signed.
    package var json: JSON {
        [
            "kind": .string(Self.kind), "requestId": .string(requestID.description),
            "profileId": .string(profileID.description), "type": .string(lifecycle.kind.rawValue),
            "regime": .string(lifecycle.regime.rawValue), "state": .string(lifecycle.state.rawValue),
            "requestedAt": .string(lifecycle.receivedAt.rfc3339), "dueAt": .string(lifecycle.dueAt.rfc3339),
            "endedAt": lifecycle.endedAt.map { .string($0.rfc3339) } ?? .null,
            "stores": .array(
                stores.sorted { $0.service.rawValue < $1.service.rawValue }.map { store in
                    [
                        "service": .string(store.service.rawValue),
                        "reportedAt": store.reportedAt.map { .string($0.rfc3339) } ?? .null,
                        "counts": .object(store.counts.mapValues(JSON.integer)),
                        "sha256": store.digest.map { .string(hexadecimal($0)) } ?? .null,
                    ]
                }),
            "recipients": .array(recipients),
        ]
    }
}
