import Foundation
import Models
import Sealing

/// Seals the secrets of webhooks before they are stored, under a key that is derived from a secret outside of the
/// database. What is sealed for one webhook opens for no other.
struct WebhookVault: Sendable {
    private let key: SealingKey

    init(secret: String) { key = SealingKey(secret: secret, purpose: "martlet webhook secrets") }

    func seal(_ secrets: [String], for webhook: WebhookID) throws -> Data {
        try key.seal(Array(JSON.array(secrets.map(JSON.string)).compact.utf8), at: webhook.description)
    }

    func open(_ sealed: Data, of webhook: WebhookID) throws(WebhookVaultLocked) -> WebhookSecret {
        guard let text = try? key.open(sealed, at: webhook.description),
            let secrets = try? JSONParser.parse(text[...]).array?.compactMap(\.string)
        else { throw WebhookVaultLocked() }
        return WebhookSecret(secrets)
    }
}

/// The secrets were sealed under another key, or altered.
struct WebhookVaultLocked: Error, CustomStringConvertible {
    var description: String {
        "the secrets of a webhook can't be opened: MARTLET_IDENTIFIER_SECRET is not the one they were sealed under"
    }
}
