package import Models

/// What to make of the records that a condition picks.
package struct MappingRule: Hashable, Sendable {
    package enum Action: Hashable, Sendable {
        case track(MappingValue)
        case identify
        case group(MappingValue)
        /// Joins each previous id to the user's.
        case alias(previousID: MappingValue)
        /// Joins every other one of the rule's external ids to the first.
        case aliasExternalIDs
        case privacyRequest(PrivacyRequest.Kind)
        /// Taken note of, and nothing is made of it; the reason is told.
        case ignore(String)
    }

    /// An id that somebody has elsewhere.
    package struct ExternalID: Hashable, Sendable {
        /// Such as `shopify:customer`.
        package var type: String
        package var value: MappingValue
    }

    /// Unique in its mapping, and part of every messageId: with another name the same delivery is another event.
    package var id: String
    package var condition: MappingCondition
    package var action: Action
    package var userID: MappingValue?
    package var anonymousID: MappingValue?
    package var externalIDs: [ExternalID] = []
    package var email: MappingValue?
    package var phone: MappingValue?
    package var timestamp: MappingValue?
    package var properties: [MappingValue.Member] = []
    package var traits: [MappingValue.Member] = []
    package var context: [MappingValue.Member] = []

    package init(id: String, condition: MappingCondition, action: Action) {
        self.id = id
        self.condition = condition
        self.action = action
    }
}
