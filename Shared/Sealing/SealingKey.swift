import Crypto
package import FoundationEssentials
import Glibc

/// A key that values are sealed under: AES-GCM with 256 bits (NIST SP 800-38D), the one way in which Martlet seals.
///
/// A sealed value is bound to its place, such as a column and the key of its row: anywhere else it does not open. Nonces
/// are random, so no key may seal more than 2³² values; keys per profile and per day stay far below.
package struct SealingKey: Sendable {
    private let key: SymmetricKey

    /// A new key of 256 random bits.
    package static func random() -> SealingKey { SealingKey(key: SymmetricKey(size: .bits256)) }

    private init(key: SymmetricKey) { self.key = key }

    /// The key of these 32 bytes; nil when they are not so many.
    package init?(bytes: some ContiguousBytes) {
        let key = SymmetricKey(data: bytes)
        guard key.bitCount == 256 else { return nil }
        self.key = key
    }

    /// Derives a key from a secret outside of the database (HKDF-SHA256, RFC 5869); `purpose` keeps keys apart.
    package init(secret: String, purpose: String) {
        key = HKDF<SHA256>.deriveKey(
            inputKeyMaterial: SymmetricKey(data: Data(secret.utf8)), info: Data(purpose.utf8),
            outputByteCount: 32)
    }

    /// The nonce, the sealed bytes and the tag in one.
    package func seal(_ bytes: [UInt8], at place: String) throws(SealingError) -> Data {
        // With a nonce of 96 bits, as it always has here, there is a combined form.
        guard
            let sealed = try? AES.GCM.seal(
                bytes, using: key, nonce: Self.nonce(), authenticating: Array(place.utf8)
            ).combined
        else { throw .altered(place: Self.kind(of: place)) }
        return sealed
    }

    /// A random nonce, asked of the system at once; the library asks for each half.
    private static func nonce() -> AES.GCM.Nonce {
        var bytes: (UInt64, UInt32) = (0, 0)
        return withUnsafeMutableBytes(of: &bytes) { bytes in
            guard getentropy(bytes.baseAddress, 12) == 0,
                let nonce = try? AES.GCM.Nonce(data: UnsafeRawBufferPointer(rebasing: bytes[..<12]))
            else { return AES.GCM.Nonce() }
            return nonce
        }
    }

    /// What was sealed at this place.
    package func open(_ sealed: Data, at place: String) throws(SealingError) -> [UInt8] {
        guard let box = try? AES.GCM.SealedBox(combined: sealed),
            let bytes = try? AES.GCM.open(box, using: key, authenticating: Array(place.utf8))
        else { throw .altered(place: Self.kind(of: place)) }
        return Array(bytes)
    }

    /// The key's bytes, to be wrapped.
    func withBytes<Result>(_ body: ([UInt8]) throws(SealingError) -> Result) throws(SealingError) -> Result {
        try body(key.withUnsafeBytes { Array($0) })
    }

    /// The first word of a place says what is kept there; what follows names whose it is.
    private static func kind(of place: String) -> String {
        String(place.prefix { $0 != " " })
    }
}

/// Why something sealed can't be opened.
package enum SealingError: Error, Hashable, CustomStringConvertible {
    /// It was changed, moved here from another place, or sealed under another key.
    case altered(place: String)
    /// The key that it is wrapped under is not among the key-encryption keys of this process.
    case unknownKey(id: String)

    package var description: String {
        switch self {
        case .altered(let place):
            "\(place) can't be opened: it was changed, moved, or sealed under another key"
        case .unknownKey(let id):
            "the key-encryption key \(id) is not in MARTLET_KEY_ENCRYPTION_KEYS of this process"
        }
    }
}
