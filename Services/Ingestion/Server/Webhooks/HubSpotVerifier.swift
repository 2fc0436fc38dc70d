import IngestionDomain
import Models

/// HubSpot's signature v3 (HubSpot developers, "Validating requests", "Validate the v3 request signature"): base64 of
/// the HMAC-SHA256 of method, URI, body and timestamp under the app's client secret, at most five minutes old.
///
/// HubSpot signs each attempt anew (its body counts them), so the same signature twice is a replay.
struct HubSpotVerifier: WebhookVerifier {
    private static let signature = "x-hubspot-signature-v3"
    private static let timestamp = "x-hubspot-request-timestamp"

    init() {}

    func verify(
        _ request: WebhookRequest, secret: WebhookSecret, now: Instant
    ) throws(WebhookRefusal) -> VerifiedWebhook {
        let given = try request.required(Self.signature)
        let written = try request.required(Self.timestamp)
        // HubSpot decodes these characters before it signs; an address that it was given with them encoded is also
        // seen signed as it is, and either form binds the address.
        var signed: [UInt8]?
        for uri in [Self.decoded(request.uri), request.uri] where signed == nil {
            let message = Array(request.method.utf8) + Array(uri.utf8) + request.body + Array(written.utf8)
            if try Signing.isSigned(message, by: [given], secret: secret, text: Signing.base64) {
                signed = message
            }
        }
        guard let signed else { throw .mismatch }
        let time = try SignedTime.read(written, .milliseconds, header: Self.timestamp)
        let tolerance = WebhookAuthentication.tolerance
        try SignedTime.check(time, now: now, tolerance: tolerance)
        return VerifiedWebhook(
            request, scheme: "hubspot", signed: signed, rule: .refuse, keep: SignedTime.keep(tolerance))
    }

    /// The table of HubSpot's documentation; nothing else is decoded.
    private static let characters: [String: Character] = [
        "3A": ":", "2F": "/", "3F": "?", "40": "@", "21": "!", "24": "$", "27": "'", "28": "(",
        "29": ")", "2A": "*", "2C": ",", "3B": ";",
    ]

    static func decoded(_ uri: String) -> String {
        var result = ""
        var rest = uri[...]
        while let percent = rest.firstIndex(of: "%") {
            result += rest[..<percent]
            let code = rest[rest.index(after: percent)...].prefix(2)
            if let character = characters[code.uppercased()] {
                result.append(character)
                rest = rest[code.endIndex...]
            } else {
                result.append("%")
                rest = rest[rest.index(after: percent)...]
            }
        }
        return result + rest
    }
}
