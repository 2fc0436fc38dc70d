import Crypto
import Foundation
import IdentityDomain
import Models
import Sealing

/// The secrets that an endpoint's events are signed with: the current one first. Never printed.
struct WebhookSecrets: Sendable, CustomStringConvertible, CustomReflectable {
    /// `whsec_` and the base64 form of the key.
    private(set) var texts: [String]

    static let prefix = "whsec_"

    init(_ texts: [String]) { self.texts = texts }

    /// A new secret of 256 random bits.
    static func make() -> WebhookSecrets {
        let key = SymmetricKey(size: .bits256).withUnsafeBytes { Data($0) }
        return WebhookSecrets([prefix + key.base64EncodedString()])
    }

    var current: String { texts.first ?? "" }

    /// A new one before the current one, which is then the previous.
    func rotated() -> WebhookSecrets { WebhookSecrets(Self.make().texts + texts.prefix(1)) }

    var description: String { "(\(texts.count) secrets)" }
    var customMirror: Mirror { Mirror(self, children: []) }
}

/// Signs as Standard Webhooks says (version 1, symmetric).
struct WebhookSignature {
    /// The value of `webhook-signature`: one signature for each secret, with a space between.
    static func header(id: String, timestamp: Int64, body: [UInt8], secrets: [String]) -> String {
        let signed = Array("\(id).\(timestamp).".utf8) + body
        return secrets.compactMap { Data(base64Encoded: String($0.dropFirst(WebhookSecrets.prefix.count))) }
            .map { key in
                let code = HMAC<SHA256>.authenticationCode(for: signed, using: SymmetricKey(data: key))
                return "v1," + Data(code).base64EncodedString()
            }
            .joined(separator: " ")
    }
}

/// Seals the secrets of endpoints before they are stored, under a key that is derived from a secret outside of the
/// database. What is sealed for one endpoint opens for no other.
struct EndpointVault: Sendable {
    private let key: SealingKey

    init(secret: String) { key = SealingKey(secret: secret, purpose: "martlet webhook endpoint secrets") }

    func seal(_ secrets: WebhookSecrets, for endpoint: WebhookEndpointID) throws -> Data {
        try key.seal(Array(JSON.array(secrets.texts.map(JSON.string)).compact.utf8), at: endpoint.description)
    }

    func open(_ sealed: Data, of endpoint: WebhookEndpointID) throws(EndpointVaultLocked) -> WebhookSecrets {
        guard let text = try? key.open(sealed, at: endpoint.description),
            let secrets = try? JSONParser.parse(text[...]).array?.compactMap(\.string), !secrets.isEmpty
        else { throw EndpointVaultLocked() }
        return WebhookSecrets(secrets)
    }
}

/// The secrets were sealed under another key, or altered.
struct EndpointVaultLocked: Error, CustomStringConvertible {
    var description: String {
        "the secrets of a webhook endpoint can't be opened: MARTLET_IDENTIFIER_SECRET is not the one they were sealed under"
    }
}
