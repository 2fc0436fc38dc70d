import IngestionDomain
import Models

/// Any HMAC that a mapping can describe: GitHub's `sha256=…`, Slack's `v0:{timestamp}:{body}`, Standard Webhooks'
/// `{header:webhook-id}.{timestamp}.{body}`.
struct HMACVerifier: WebhookVerifier {
    private static let maxSignatures = 10
    /// As long as messageIds are remembered.
    private static let keep: Duration = .seconds(30 * 86_400)

    private let signature: HMACSignature

    init(signature: HMACSignature) { self.signature = signature }

    func verify(
        _ request: WebhookRequest, secret: WebhookSecret, now: Instant
    ) throws(WebhookRefusal) -> VerifiedWebhook {
        let given = try signatures(try request.required(signature.header))
        var written: String?
        if let header = signature.timestampHeader { written = try request.required(header) }
        let message = try message(request, timestamp: written)
        let encoding = signature.encoding
        let isSigned = try Signing.isSigned(
            message, by: given, secret: secret,
            text: { encoding == .hex ? Signing.hex($0) : Signing.base64($0) }, algorithm: signature.algorithm)
        guard isSigned else { throw .mismatch }
        guard let written, let header = signature.timestampHeader else {
            return verified(request, message, window: signature.retryWindow, keep: Self.keep)
        }
        let time = try SignedTime.read(written, signature.timestampFormat, header: header)
        try SignedTime.check(time, now: now, tolerance: signature.tolerance)
        let keep = SignedTime.keep(signature.tolerance)
        return verified(request, message, window: keep, keep: keep)
    }

    private func verified(
        _ request: WebhookRequest, _ message: [UInt8], window: Duration, keep: Duration
    ) -> VerifiedWebhook {
        VerifiedWebhook(
            request, scheme: "hmac", signed: message,
            rule: signature.resends == .anew ? .refuse : .acknowledge(within: window), keep: keep)
    }

    /// The signatures in a header, each behind the prefix. The prefix is looked for before the header is taken apart,
    /// because `v1,` has a comma in it.
    private func signatures(_ header: String) throws(WebhookRefusal) -> [String] {
        var given: [String] = []
        for part in header.split(separator: " ") {
            let candidates = signature.prefix.contains(",") ? [part] : part.split(separator: ",")
            for candidate in candidates where candidate.hasPrefix(signature.prefix) {
                let text = String(candidate.dropFirst(signature.prefix.count))
                given.append(signature.encoding == .hex ? text.lowercased() : text)
            }
        }
        guard (1...Self.maxSignatures).contains(given.count) else { throw .malformedHeader(signature.header) }
        return given
    }

    private func message(
        _ request: WebhookRequest, timestamp: String?
    ) throws(WebhookRefusal) -> [UInt8] {
        var message: [UInt8] = []
        for part in signature.signed {
            switch part {
            case .text(let text): message += Array(text.utf8)
            case .body: message += request.body
            case .timestamp: message += Array((timestamp ?? "").utf8)
            case .method: message += Array(request.method.utf8)
            case .uri: message += Array(request.uri.utf8)
            case .header(let name): message += Array(try request.required(name).utf8)
            }
        }
        return message
    }
}
