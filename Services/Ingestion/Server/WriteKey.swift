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

    /// Text with the keys that were made here, whoever's and wherever they stand, replaced by as many asterisks: a
    /// batch that came to the path of a single call has its key anywhere but where a call has it.
    static func blanked(in text: [UInt8]) -> [UInt8] {
        let prefix = Array("wk_".utf8)
        var text = text
        var start = 0
        while start + prefix.count + length <= text.count {
            let end = start + prefix.count + length
            if text[start] == prefix[0], text[start..<start + prefix.count].elementsEqual(prefix),
                text[start + prefix.count..<end].allSatisfy(isOfKey)
            {
                text.replaceSubrange(start..<end, with: repeatElement(UInt8(ascii: "*"), count: end - start))
                start = end
            } else {
                start += 1
            }
        }
        return text
    }

    /// Characters after the prefix: 192 bits, six in each.
    private static let length = 32

    private static func isOfKey(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
            UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "-"), UInt8(ascii: "_"):
            true
        default: false
        }
    }
}
