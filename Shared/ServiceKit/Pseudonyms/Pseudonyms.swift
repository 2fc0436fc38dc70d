import Crypto
import Foundation

/// What stands for a text that names somebody: the same for the same text in every service of the installation, and of
/// no use without its secret (128 bits of HMAC-SHA256).
package struct Pseudonyms: Sendable {
    private let begun: HMAC<SHA256>

    /// Derives the key from the installation's secret for identifiers (HKDF-SHA256, RFC 5869).
    package init(secret: String) {
        begun = HMAC<SHA256>(
            key: HKDF<SHA256>.deriveKey(
                inputKeyMaterial: SymmetricKey(data: Data(secret.utf8)),
                info: Data("martlet pseudonyms".utf8), outputByteCount: 32))
    }

    /// An address in capitals or with blanks around it is the same address.
    package func pseudonym(of text: String) -> String {
        var hash = begun
        hash.update(data: Array(text.trimmingCharacters(in: .whitespacesAndNewlines).lowercased().utf8))
        return Self.prefix + Data(hash.finalize().prefix(16)).base64URL
    }

    /// What all of them begin with.
    package static let prefix = "anon_"
}
