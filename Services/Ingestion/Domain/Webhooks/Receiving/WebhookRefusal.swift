/// Why a request is not taken for its sender's; always a 401. Said to the log and counted, while the caller learns no
/// more than `detail`, which holds nothing that was sent.
package enum WebhookRefusal: Error, Hashable, Sendable {
    /// Nothing is configured that the request could be checked with.
    case noSecret
    case missingHeader(String)
    /// A header that isn't of its form.
    case malformedHeader(String)
    /// The signature or the shared secret doesn't fit: altered on the way, or signed by somebody else.
    case mismatch
    /// Signed longer ago than tolerated.
    case stale
    /// Signed at a time that is still to come, by more than clocks differ.
    case future
    /// Signed well and accepted before.
    case replayed
    /// The message is of another organisation than the one that is connected.
    case foreignOrganization
    /// The body, which has to be read to know whose it is, cannot be.
    case unreadableBody

    /// Stable: metrics count by it, and it is the type of the problem.
    package var reason: String {
        switch self {
        case .noSecret: "no-secret"
        case .missingHeader: "missing-header"
        case .malformedHeader: "malformed-header"
        case .mismatch: "signature-mismatch"
        case .stale: "stale"
        case .future: "future"
        case .replayed: "replayed"
        case .foreignOrganization: "foreign-organization"
        case .unreadableBody: "unreadable-body"
        }
    }

    /// One sentence for people.
    package var detail: String {
        switch self {
        case .noSecret: "the webhook has no secret to verify requests with"
        case .missingHeader(let name): "the request lacks \(name)"
        case .malformedHeader(let name): "\(name) is not of its form"
        case .mismatch: "the request is not signed with the webhook's secret, or was altered on its way"
        case .stale: "the request was signed too long ago"
        case .future: "the request was signed in the future; check the clocks"
        case .replayed: "the request was accepted before"
        case .foreignOrganization: "the message is from another organisation"
        case .unreadableBody: "the body cannot be read"
        }
    }
}
