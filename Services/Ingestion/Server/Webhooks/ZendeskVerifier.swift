import IngestionDomain
import Models

/// Zendesk's signature (Zendesk developers, "Verifying the authenticity of requests"): base64 of the HMAC-SHA256 of
/// timestamp and body. Zendesk names no tolerance; ours is five minutes. The timestamp is that of the signature, so
/// the same signature twice is taken for a replay.
struct ZendeskVerifier: WebhookVerifier {
    private static let signature = "x-zendesk-webhook-signature"
    private static let timestamp = "x-zendesk-webhook-signature-timestamp"

    init() {}

    func verify(
        _ request: WebhookRequest, secret: WebhookSecret, now: Instant
    ) throws(WebhookRefusal) -> VerifiedWebhook {
        let given = try request.required(Self.signature)
        let written = try request.required(Self.timestamp)
        let message = Array(written.utf8) + request.body
        guard try Signing.isSigned(message, by: [given], secret: secret, text: Signing.base64) else {
            throw .mismatch
        }
        let time = try SignedTime.read(written, .rfc3339, header: Self.timestamp)
        let tolerance = WebhookAuthentication.tolerance
        try SignedTime.check(time, now: now, tolerance: tolerance)
        return VerifiedWebhook(
            request, scheme: "zendesk", signed: message, rule: .refuse, keep: SignedTime.keep(tolerance))
    }
}
