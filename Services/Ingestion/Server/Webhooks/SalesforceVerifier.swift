import IngestionDomain
import Models

/// Salesforce signs nothing: an outbound message says which organisation it is of, and a secret that was put into the
/// endpoint's address says that the organisation's administrator wrote it (Salesforce SOAP API Developer Guide,
/// "Considerations for Security", which also recommends client certificates: those are the proxy's to check). Change
/// events of a relay come with the same secret, and tell no organisation.
struct SalesforceVerifier: WebhookVerifier {
    private let organizationID: String
    private let shared: SharedSecretVerifier

    init(organizationID: String, places: [SecretPlace]) {
        self.organizationID = organizationID
        shared = SharedSecretVerifier(places: places)
    }

    func verify(
        _ request: WebhookRequest, secret: WebhookSecret, now: Instant
    ) throws(WebhookRefusal) -> VerifiedWebhook {
        // The secret first: a stranger's XML is not worth reading.
        let verified = try shared.verify(request, secret: secret, now: now)
        guard request.mediaType.hasSuffix("xml") else { return verified }
        let message: SalesforceMessage
        do { message = try SalesforceMessage(request.body) } catch { throw .unreadableBody }
        guard Self.same(message.organizationID, organizationID) else { throw .foreignOrganization }
        // A message is sent again with other SessionIds in it, so notifications name it.
        let ids = message.records.map(\.id).joined(separator: "\n")
        return VerifiedWebhook(
            request, scheme: "salesforce", signed: Array(ids.utf8),
            rule: .acknowledge(within: SharedSecretVerifier.retryWindow), keep: verified.replayKey.keep)
    }

    /// An id has 15 characters, or 18 with a check sum at the end.
    private static func same(_ left: String, _ right: String) -> Bool {
        left == right || (left.count >= 15 && right.count >= 15 && left.prefix(15) == right.prefix(15))
    }
}
