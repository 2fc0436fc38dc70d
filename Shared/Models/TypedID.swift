package import FoundationEssentials

/// A UUID that says what it names: a `TypedID<ProfileTag>` can never stand where a source is meant.
package struct TypedID<Tag>: Hashable, Sendable {
    package var uuid: UUID

    package init(_ uuid: UUID) { self.uuid = uuid }

    /// Reads the 36-character form, in either case.
    package init?(_ text: String) {
        guard let uuid = UUID(hyphenated: text) else { return nil }
        self.uuid = uuid
    }
}

package enum ProfileTag {}
package enum SourceTag {}
package enum MergeTag {}
package enum MessageTag {}
package enum IntentTag {}
package enum InstanceTag {}
package enum PrivacyRequestTag {}
package enum APIKeyTag {}
package enum ImportTag {}

/// A person's profile in the customer profile store.
package typealias ProfileID = TypedID<ProfileTag>
/// A source of events, known to ingestion.
package typealias SourceID = TypedID<SourceTag>
/// A merge of two profiles.
package typealias MergeID = TypedID<MergeTag>
/// A message that delivery sends, or has decided not to send.
package typealias MessageID = TypedID<MessageTag>
/// A journey's wish to send one message.
package typealias IntentID = TypedID<IntentTag>
/// One passage of a profile through a journey.
package typealias InstanceID = TypedID<InstanceTag>
/// A request for access or erasure.
package typealias PrivacyRequestID = TypedID<PrivacyRequestTag>
/// A key to the API.
package typealias APIKeyID = TypedID<APIKeyTag>
/// A run of an import.
package typealias ImportID = TypedID<ImportTag>

extension TypedID: Comparable {
    /// By bytes, as PostgreSQL orders uuid.
    package static func < (left: Self, right: Self) -> Bool { left.uuid.precedes(right.uuid) }
}

extension TypedID: CustomStringConvertible {
    /// The 36-character form in lower case.
    package var description: String { uuid.hyphenated }
}

extension TypedID: Codable {
    package init(from decoder: any Decoder) throws {
        let container = try decoder.singleValueContainer()
        let text = try container.decode(String.self)
        guard let uuid = UUID(hyphenated: text) else {
            throw DecodingError.dataCorruptedError(
                in: container, debugDescription: "expected a UUID, found \"\(text)\"")
        }
        self.uuid = uuid
    }

    package func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        try container.encode(uuid.hyphenated)
    }
}
