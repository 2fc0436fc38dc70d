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
        guard let authorization, authorization.utf8.count > 6,
            authorization.prefix(6).lowercased() == "basic "
        else { return nil }
        let credentials = authorization.utf8.dropFirst(6).drop { $0 == UInt8(ascii: " ") }
        guard let data = Data(base64Encoded: Data(credentials)),
            let user = String(validating: data.prefix { $0 != UInt8(ascii: ":") }, as: UTF8.self),
            !user.isEmpty
        else { return nil }
        text = user
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
