import Crypto
import Foundation
package import Models

/// The addresses of people's own pages, which consent serves and mails lead to.
///
/// Who has one is taken for the person, until it expires. The token is sealed (AES-GCM), not only signed: in the address,
/// which proxies log, nothing of the person stands, not even their id. The nonce is a keyed hash of what is sealed, so the
/// same link is always the same text.
package struct PersonLinks: Sendable {
    /// Whose pages, and until when.
    package struct Claim: Hashable, Sendable {
        package let profileID: ProfileID
        /// To the second.
        package let expiresAt: Instant

        package init(profileID: ProfileID, expiresAt: Instant) {
            self.profileID = profileID
            self.expiresAt = Instant(milliseconds: expiresAt.milliseconds / 1_000 * 1_000)
        }

        /// A version, the profile, and the seconds since 1970 in five bytes.
        package var bytes: [UInt8] {
            var bytes: [UInt8] = [1]
            withUnsafeBytes(of: profileID.uuid.uuid) { bytes += $0 }
            let seconds = UInt64(max(0, expiresAt.milliseconds / 1_000))
            bytes += (0..<5).reversed().map { UInt8(truncatingIfNeeded: seconds >> (8 * UInt64($0))) }
            return bytes
        }

        fileprivate init?(bytes: [UInt8]) {
            guard bytes.count == 22, bytes[0] == 1 else { return nil }
            let id = UUID(
                uuid: (
                    bytes[1], bytes[2], bytes[3], bytes[4], bytes[5], bytes[6], bytes[7], bytes[8], bytes[9],
                    bytes[10], bytes[11], bytes[12], bytes[13], bytes[14], bytes[15], bytes[16]
                ))
            let seconds = bytes[17...].reduce(Int64(0)) { $0 << 8 | Int64($1) }
            self.init(profileID: ProfileID(id), expiresAt: Instant(milliseconds: seconds * 1_000))
        }
    }

    /// How long a link in a mail leads somewhere.
    package static let mailLifetime: Duration = .hours(90 * 24)

    private let base: String
    private let key: SymmetricKey
    private let nonceKey: SymmetricKey
    private static let purpose = Data("martlet person link 1".utf8)
    /// Characters of a token: 12 bytes of nonce, 22 sealed ones and 16 that authenticate them, in base64.
    private static let tokenLength = 67

    /// `pagesURL` is where the world reaches consent.
    package init(pagesURL: String, tokens: ServiceTokens) {
        base = pagesURL.hasSuffix("/") ? String(pagesURL.dropLast()) : pagesURL
        key = tokens.derivedKey(for: "person-links")
        nonceKey = tokens.derivedKey(for: "person-links-nonce")
    }

    /// Where somebody sees and changes what they allow.
    package func preferences(_ claim: Claim) throws -> String {
        "\(base)/preferences/\(try token(claim))"
    }

    package func token(_ claim: Claim) throws -> String {
        let bytes = Data(claim.bytes)
        let nonce = Data(HMAC<SHA256>.authenticationCode(for: bytes, using: nonceKey).prefix(12))
        let box = try AES.GCM.seal(
            bytes, using: key, nonce: AES.GCM.Nonce(data: nonce), authenticating: Self.purpose)
        return (nonce + box.ciphertext + box.tag).base64URL
    }

    /// What a token of ours says, whether it has expired or not; nil for any other text. Compared in constant time.
    package func claim(in token: String) -> Claim? {
        guard token.utf8.count == Self.tokenLength, let data = Data(base64URL: token),
            // The last character has bits that mean nothing: another text must not be the same token.
            data.base64URL == token, let box = try? AES.GCM.SealedBox(combined: data),
            let bytes = try? AES.GCM.open(box, using: key, authenticating: Self.purpose)
        else { return nil }
        return Claim(bytes: Array(bytes))
    }
}
