package import Crypto
import Foundation
package import Models

/// Signs and verifies the short-lived tokens with which services call each other.
///
/// A token is a JWS in compact form (RFC 7515) under HS256 with the claims `iss` (the calling service), `aud`
/// (the one called) and `exp` (seconds since 1970, RFC 7519). Expiry follows the machine's clock, also in a
/// rehearsal.
package struct ServiceTokens: Sendable {
    /// How long a token is good for. Callers make a new one for each call or keep one for less than this.
    package static let lifetime: Duration = .seconds(120)

    private let key: SymmetricKey
    private static let header = Data(#"{"alg":"HS256","typ":"JWT"}"#.utf8).base64URL

    /// The secret is shared by all services of an installation: at least 32 bytes.
    package init(secret: String) throws(AccessError) {
        guard secret.utf8.count >= 32 else { throw .weakSecret }
        key = SymmetricKey(data: Data(secret.utf8))
    }

    /// A key for another use of the same secret (e.g. `tracking-links`), so that uses cannot be confused.
    package func derivedKey(for use: String) -> SymmetricKey {
        HKDF<SHA256>.deriveKey(inputKeyMaterial: key, info: Data("martlet \(use)".utf8), outputByteCount: 32)
    }

    package func issue(from caller: ServiceName, to audience: ServiceName, now: Instant = .fromSystemClock())
        -> String
    {
        let claims: JSON = [
            "iss": .string(caller.rawValue), "aud": .string(audience.rawValue),
            "exp": .integer((now + Self.lifetime).milliseconds / 1_000),
        ]
        let signed = Self.header + "." + Data(claims.compact.utf8).base64URL
        return signed + "."
            + Data(HMAC<SHA256>.authenticationCode(for: Data(signed.utf8), using: key)).base64URL
    }

    /// The calling service, or nil when the token is not ours, for another service, or too old.
    package func verify(_ token: String, audience: ServiceName, now: Instant = .fromSystemClock())
        -> ServiceName?
    {
        let parts = token.split(separator: ".", omittingEmptySubsequences: false)
        guard parts.count == 3, parts[0] == Self.header,
            let claimBytes = Data(base64URL: parts[1]), let code = Data(base64URL: parts[2]),
            HMAC<SHA256>.isValidAuthenticationCode(
                code, authenticating: Data("\(parts[0]).\(parts[1])".utf8), using: key),
            let claims = try? JSONParser.parse(Array(claimBytes)[...]),
            claims["aud"]?.string == audience.rawValue,
            let expiry = claims["exp"]?.integer, expiry > now.milliseconds / 1_000
        else { return nil }
        return claims["iss"]?.string.flatMap(ServiceName.init(rawValue:))
    }
}

/// What is wrong with the settings of access.
package enum AccessError: Error, Sendable, CustomStringConvertible {
    case weakSecret

    package var description: String {
        switch self {
        case .weakSecret:
            "the service secret must have at least 32 bytes; make one with `openssl rand -hex 32`"
        }
    }
}

extension Data {
    /// Base64 with the URL-safe alphabet and no padding (RFC 4648 section 5).
    package var base64URL: String {
        base64EncodedString().replacing("+", with: "-").replacing("/", with: "_").replacing("=", with: "")
    }

    package init?(base64URL text: some StringProtocol) {
        let standard = String(text).replacing("-", with: "+").replacing("_", with: "/")
        let padding = String(repeating: "=", count: (4 - standard.count % 4) % 4)
        self.init(base64Encoded: standard + padding)
    }
}
