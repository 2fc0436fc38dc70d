import Crypto
import Foundation
import Models

/// Seals the secrets of webhooks before they are stored: AES-GCM under a key that is derived from a secret outside of
/// the database (HKDF-SHA256, RFC 5869). What is sealed for one webhook opens for no other.
struct WebhookVault: Sendable {
    private let key: SymmetricKey

    init(secret: String) {
        key = HKDF<SHA256>.deriveKey(
            inputKeyMaterial: SymmetricKey(data: Data(secret.utf8)),
            info: Data("martlet webhook secrets".utf8),
            outputByteCount: 32)
    }

    func seal(_ secrets: [String], for webhook: WebhookID) throws -> Data {
        let text = Data(JSON.array(secrets.map(JSON.string)).compact.utf8)
        // With a nonce of 96 bits, as it always has here, there is a combined form.
        guard
            let sealed = try AES.GCM.seal(text, using: key, authenticating: Data(webhook.description.utf8))
                .combined
        else { throw WebhookVaultLocked() }
        return sealed
    }

    func open(_ sealed: Data, of webhook: WebhookID) throws(WebhookVaultLocked) -> WebhookSecret {
        guard let box = try? AES.GCM.SealedBox(combined: sealed),
            let text = try? AES.GCM.open(box, using: key, authenticating: Data(webhook.description.utf8)),
            let secrets = try? JSONParser.parse(Array(text)).array?.compactMap(\.string)
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
