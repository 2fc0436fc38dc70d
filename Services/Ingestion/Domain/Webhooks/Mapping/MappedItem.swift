package import Models

/// What a rule made of a record.
package struct MappedItem: Hashable, Sendable {
    package enum Outcome: Hashable, Sendable {
        /// An item of the tracking API, for the same parser that reads everybody's.
        case call(JSON)
        case privacyRequest(MappedPrivacyRequest)
        /// Nothing is to be made of it.
        case ignored(reason: String)
        /// It should have become something and cannot: for quarantine, with the record.
        case failed(reason: String)
    }

    /// Nil where no rule fitted.
    package var rule: String?
    /// The same for every delivery of the record.
    package var messageID: String
    package var outcome: Outcome

    package init(rule: String?, messageID: String, outcome: Outcome) {
        self.rule = rule
        self.messageID = messageID
        self.outcome = outcome
    }

    /// `shopify:track Order Completed:orders/paid:5f3a…`; names that are too long for an identifier are hashed.
    static func messageID(_ record: InboundRecord, rule: String, part: Int? = nil) -> String {
        let suffix = part.map { ":\($0)" } ?? ""
        let plain = "\(record.provider.rawValue):\(rule):\(record.id)\(suffix)"
        guard plain.utf8.count > IngestionLimits().identifierBytes else { return plain }
        let hash = [
            StableHash.hash64(["webhook/high", record.id]), StableHash.hash64(["webhook/low", record.id]),
        ]
        .map { number in
            let digits = String(number, radix: 16)
            return String(repeating: "0", count: 16 - digits.count) + digits
        }
        return "\(record.provider.rawValue):\(rule):#\(hash.joined())\(suffix)"
    }
}

/// A data subject's wish that reached another system first.
package struct MappedPrivacyRequest: Hashable, Sendable {
    package var kind: PrivacyRequest.Kind
    /// Whoever of these is known.
    package var userID: String?
    package var anonymousID: String?
    package var email: String?
    package var phone: String?
    package var externalIDs: [ExternalID]
    package var requestedAt: Instant

    /// An id that somebody has elsewhere.
    package struct ExternalID: Hashable, Sendable {
        package var type: String
        package var id: String

        package init(type: String, id: String) {
            self.type = type
            self.id = id
        }
    }
}
