import IngestionDomain
import Models

/// A header `t=…,v1=…` (Stripe, "Verify webhook signatures manually"): hexadecimal HMAC-SHA256 of `t`, a dot and the
/// body. While a secret is changed there are several `v1`, one of which has to fit; other schemes are passed over,
/// because `v0` is for tests alone. Stripe signs each attempt anew.
struct StripeVerifier: WebhookVerifier {
    /// More than that nobody sends, and each costs an HMAC per key.
    private static let maxSignatures = 10

    private let signature: StripeSignature

    init(signature: StripeSignature = StripeSignature()) { self.signature = signature }

    func verify(
        _ request: WebhookRequest, secret: WebhookSecret, now: Instant
    ) throws(WebhookRefusal) -> VerifiedWebhook {
        let header = try request.required(signature.header)
        var written: String?
        var given: [String] = []
        for part in header.split(separator: ",") {
            let pair = part.split(separator: "=", maxSplits: 1).map { String($0).trimmed }
            guard pair.count == 2 else { throw .malformedHeader(signature.header) }
            switch pair[0] {
            case "t":
                guard written == nil else { throw .malformedHeader(signature.header) }
                written = pair[1]
            case "v1": given.append(pair[1].lowercased())
            default: break
            }
        }
        guard let written, (1...Self.maxSignatures).contains(given.count) else {
            throw .malformedHeader(signature.header)
        }
        let message = Array("\(written).".utf8) + request.body
        guard try Signing.isSigned(message, by: given, secret: secret, text: { Signing.hex($0) }) else {
            throw .mismatch
        }
        let time = try SignedTime.read(written, .seconds, header: signature.header)
        try SignedTime.check(time, now: now, tolerance: signature.tolerance)
        return VerifiedWebhook(
            request, scheme: "stripe", signed: message, rule: .refuse,
            keep: SignedTime.keep(signature.tolerance))
    }
}
