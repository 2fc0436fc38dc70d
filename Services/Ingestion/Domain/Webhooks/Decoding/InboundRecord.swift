package import Models

/// One thing that a sender tells of, whoever it is: what mappings are written for.
package struct InboundRecord: Hashable, Sendable {
    package var provider: WebhookProvider
    /// What happened, in the sender's words: `orders/paid`, `contact.merge`, `Contact.update`.
    package var type: String
    /// The same for every delivery of the same record, and for no other record of the provider. It is made of what
    /// the sender has signed, as far as there is a signature.
    package var id: String
    /// When it happened, where the sender says so.
    package var occurredAt: Instant?
    /// What paths of a mapping lead into.
    package var object: JSON
    /// What the sender says around it (shop, organisation, attributes of a CloudEvent): `meta` of a mapping.
    package var meta: [String: JSON]

    package init(
        provider: WebhookProvider, type: String, id: String, occurredAt: Instant? = nil, object: JSON,
        meta: [String: JSON] = [:]
    ) {
        self.provider = provider
        self.type = type
        self.id = id
        self.occurredAt = occurredAt
        self.object = object
        self.meta = meta
    }
}

/// What a request held. Records that cannot be read are listed beside those that can: they must not cost their
/// neighbours, nor go unmentioned.
package struct DecodedWebhook: Hashable, Sendable {
    package struct Unreadable: Hashable, Sendable {
        /// Where it stood, such as `3`; empty for the whole body.
        package var path: String
        /// What was expected there.
        package var expected: String
        package var original: JSON

        package init(path: String, expected: String, original: JSON) {
            self.path = path
            self.expected = expected
            self.original = original
        }
    }

    package var records: [InboundRecord]
    package var unreadable: [Unreadable]

    package init(records: [InboundRecord], unreadable: [Unreadable] = []) {
        self.records = records
        self.unreadable = unreadable
    }
}

/// Why a verified request as a whole cannot be read. Nothing of it is kept but the refusal.
package enum WebhookProblem: Error, Hashable, Sendable {
    /// 400.
    case notJSON(JSONError)
    /// 400.
    case notXML(XMLError)
    /// 400: it is not what this provider sends.
    case unexpected(path: String, expected: String)
    /// 415.
    case mediaType(expected: String)
    /// 413.
    case tooManyRecords(limit: Int)

    /// One sentence for people.
    package var detail: String {
        switch self {
        case .notJSON(let error): "the body is not JSON: \(error)"
        case .notXML(let error): "the body is not the XML of a message: \(error)"
        case .unexpected(let path, let expected):
            path.isEmpty ? "the body must be \(expected)" : "\(path) must be \(expected)"
        case .mediaType(let expected): "send \(expected)"
        case .tooManyRecords(let limit): "a request may hold at most \(limit) records"
        }
    }
}
