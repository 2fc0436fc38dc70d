import Crypto
import DeliveryDomain
import Foundation
import Models
import ServiceKit

/// Makes and reads the addresses that mails point back to us with.
struct Links: Sendable {
    private let base: String
    private let key: SymmetricKey
    /// Bytes of the signature that a token carries: 128 bits.
    private static let signatureLength = 16

    /// `publicURL` is where the world reaches this service.
    init(publicURL: String, tokens: ServiceTokens) {
        base = publicURL.hasSuffix("/") ? String(publicURL.dropLast()) : publicURL
        key = tokens.derivedKey(for: "tracking-links")
    }

    func pixel(_ message: QueuedMessage) -> String {
        "\(base)/t/o/\(token(.open(message.shard, message.id))).gif"
    }

    func click(_ message: QueuedMessage, _ link: LinkKey) -> String {
        "\(base)/t/c/\(token(.click(message.shard, message.id, key: link)))"
    }

    func unsubscribe(_ message: QueuedMessage) -> String {
        "\(base)/t/u/\(token(.unsubscribe(message.shard, message.id)))"
    }

    func token(_ claim: TrackingClaim) -> String {
        Base64.encodeForURL(claim.bytes + signature(of: claim.bytes))
    }

    /// What a token of ours says; nil for any other text.
    func claim(in token: String) -> TrackingClaim? {
        guard token.utf8.count <= 64, let bytes = Base64.decode(token), bytes.count > Self.signatureLength
        else {
            return nil
        }
        let claim = Array(bytes.dropLast(Self.signatureLength))
        // Every byte is looked at, whatever the first says: the time tells nothing of where they differ. The
        // parentheses matter: `|` and `^` bind equally in Swift.
        let difference = zip(signature(of: claim), bytes.suffix(Self.signatureLength)).reduce(0) {
            $0 | ($1.0 ^ $1.1)
        }
        return difference == 0 ? TrackingClaim(bytes: claim) : nil
    }

    private func signature(of bytes: [UInt8]) -> [UInt8] {
        Array(HMAC<SHA256>.authenticationCode(for: Data(bytes), using: key).prefix(Self.signatureLength))
    }
}
