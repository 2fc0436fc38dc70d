import Crypto
import Foundation
import Models

/// Seals the pieces of files while they are stored: AES-GCM under a key that is derived from a secret outside of the
/// database (HKDF-SHA256, RFC 5869). A piece opens in its own place of its own file alone.
struct ImportVault: Sendable {
    private let key: SymmetricKey

    init(secret: String) {
        key = HKDF<SHA256>.deriveKey(
            inputKeyMaterial: SymmetricKey(data: Data(secret.utf8)), info: Data("martlet import files".utf8),
            outputByteCount: 32)
    }

    func seal(_ bytes: [UInt8], of id: ImportID, at offset: Int64) throws -> Data {
        // With a nonce of 96 bits, as it always has here, there is a combined form.
        guard
            let sealed = try AES.GCM.seal(bytes, using: key, authenticating: Self.place(id, offset)).combined
        else { throw ImportVaultLocked() }
        return sealed
    }

    func open(_ sealed: Data, of id: ImportID, at offset: Int64) throws(ImportVaultLocked) -> [UInt8] {
        guard let box = try? AES.GCM.SealedBox(combined: sealed),
            let data = try? AES.GCM.open(box, using: key, authenticating: Self.place(id, offset))
        else { throw ImportVaultLocked() }
        return Array(data)
    }

    private static func place(_ id: ImportID, _ offset: Int64) -> Data { Data("\(id) \(offset)".utf8) }
}

/// The file was sealed under another key, or altered.
struct ImportVaultLocked: Error, CustomStringConvertible {
    var description: String {
        "the file can't be opened: MARTLET_IDENTIFIER_SECRET is not the one it was sealed under"
    }
}
