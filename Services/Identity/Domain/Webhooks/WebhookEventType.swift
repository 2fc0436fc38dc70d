package import Models

package enum WebhookEndpointTag {}
package enum WebhookEventTag {}

/// A place that is told of what becomes of profiles.
package typealias WebhookEndpointID = TypedID<WebhookEndpointTag>
/// What an endpoint is told of; the `webhook-id` of every attempt at it.
package typealias WebhookEventID = TypedID<WebhookEventTag>

/// What an endpoint may be told.
package enum WebhookEventType: String, CaseIterable, Sendable {
    case created = "profile.created"
    case updated = "profile.updated"
    case merged = "profile.merged"
    case unmerged = "profile.unmerged"
    /// Everything known of the profile was erased on request: who was told of it is to erase it as well (GDPR article 19).
    case erased = "profile.erased"
    /// Sent when somebody asks for it, and about nobody.
    case test = "webhook.test"

    /// Those that an endpoint can be told of by itself.
    package static let subscribable: [WebhookEventType] = allCases.filter { $0 != .test }
}
