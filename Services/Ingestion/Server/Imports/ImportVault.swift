import Foundation
import Models
import Sealing

/// Seals the pieces of files while they are stored, under a key that is derived from a secret outside of the database. A
/// piece opens in its own place of its own file alone.
struct ImportVault: Sendable {
    private let key: SealingKey

    init(secret: String) { key = SealingKey(secret: secret, purpose: "martlet import files") }

    func seal(_ bytes: [UInt8], of id: ImportID, at offset: Int64) throws -> Data {
        try key.seal(bytes, at: Self.place(id, offset))
    }

    func open(_ sealed: Data, of id: ImportID, at offset: Int64) throws(ImportVaultLocked) -> [UInt8] {
        do { return try key.open(sealed, at: Self.place(id, offset)) } catch { throw ImportVaultLocked() }
    }

    private static func place(_ id: ImportID, _ offset: Int64) -> String { "\(id) \(offset)" }
}

/// The file was sealed under another key, or altered.
struct ImportVaultLocked: Error, CustomStringConvertible {
    var description: String {
        "the file can't be opened: MARTLET_IDENTIFIER_SECRET is not the one it was sealed under"
    }
}
