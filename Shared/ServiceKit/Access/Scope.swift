package import Models

/// What an API key may do. `admin` implies all others.
package enum Scope: String, CaseIterable, Sendable, Hashable {
    case profilesRead = "profiles:read"
    case profilesWrite = "profiles:write"
    case consentRead = "consent:read"
    case consentWrite = "consent:write"
    case privacyRead = "privacy:read"
    case privacyWrite = "privacy:write"
    case segmentsRead = "segments:read"
    case segmentsWrite = "segments:write"
    case catalogRead = "catalog:read"
    case catalogWrite = "catalog:write"
    case recommendationsRead = "recommendations:read"
    case journeysRead = "journeys:read"
    case journeysWrite = "journeys:write"
    case deliveryRead = "delivery:read"
    case deliveryWrite = "delivery:write"
    case sourcesRead = "sources:read"
    case sourcesWrite = "sources:write"
    case webhooksRead = "webhooks:read"
    case webhooksWrite = "webhooks:write"
    case streamsRead = "streams:read"
    /// Being shown who people are, and asking for them by name; without it their data is shown under pseudonyms.
    case identifiersRead = "identifiers:read"
    /// Who has read and changed what.
    case auditRead = "audit:read"
    case admin
}

/// Who is calling.
package enum Caller: Sendable, Hashable {
    case anonymous
    case apiKey(APIKeyID, scopes: Set<Scope>)
    case service(ServiceName)

    /// Services may do everything; a key what its scopes say.
    package func may(_ scope: Scope) -> Bool {
        switch self {
        case .anonymous: false
        case .service: true
        case .apiKey(_, let scopes): scopes.contains(scope) || scopes.contains(.admin)
        }
    }
}

/// What a route asks of its caller.
package enum Access: Sendable, Hashable {
    /// Anybody: collecting (which checks write keys itself), tracking links, unsubscribing.
    case open
    /// Anybody who proves to the handler who it is, in a way of its own: `Authorization` is the handler's to read.
    case provenToHandler
    case scope(Scope)
    /// Another service of the installation alone.
    case service
}
