import Crypto
import Foundation
import Models
import ServiceKit

/// A key that a source sends under: public, and good for appending alone.
struct WriteKey: Sendable {
    let text: String

    init(_ text: String) {
        self.text = text
    }

    /// The user of a Basic `Authorization` header (RFC 7617); the password is not looked at.
    init?(authorization: String?) {
        guard let authorization, authorization.lowercased().hasPrefix("basic "),
            let data = Data(
                base64Encoded: authorization.dropFirst("basic ".count).trimmingCharacters(in: .whitespaces)),
            let user = String(data: data, encoding: .utf8)?
                .split(separator: ":", maxSplits: 1, omittingEmptySubsequences: false).first,
            !user.isEmpty
        else { return nil }
        text = String(user)
    }

    /// A new one: 192 random bits.
    static func make() -> WriteKey {
        var generator = SystemRandomNumberGenerator()
        let bytes = (0..<24).map { _ in UInt8.random(in: .min ... .max, using: &generator) }
        return WriteKey("wk_" + Data(bytes).base64URL)
    }

    /// What is stored instead of the key. The key is random, so a plain hash cannot be reversed by guessing.
    var hash: [UInt8] { Array(SHA256.hash(data: Data(text.utf8))) }

    /// What tells it apart from others in a list.
    var hint: String { String(text.suffix(4)) }
}
