import Crypto
package import FoundationEssentials
package import Models

/// The key under which identifiers are looked up: their values are stored under keyed hashes, so that the
/// table alone doesn't tell whether an address is in it.
package struct IdentifierKey: Sendable {
    private let key: SymmetricKey
    private let searchKey: SymmetricKey
    private let marks: HMAC<SHA256>

    /// Derives the key from the installation's secret (HKDF-SHA256, RFC 5869). All services must be given the
    /// same one.
    package init(secret: String) {
        key = HKDF<SHA256>.deriveKey(
            inputKeyMaterial: SymmetricKey(data: Data(secret.utf8)),
            info: Data("martlet identifier look-up".utf8),
            outputByteCount: 32)
        marks = HMAC<SHA256>(key: key)
        searchKey = HKDF<SHA256>.deriveKey(
            inputKeyMaterial: SymmetricKey(data: Data(secret.utf8)), info: Data("martlet prefix search".utf8),
            outputByteCount: 32)
    }

    /// What stands for the beginning of a value in the index of a field: 64 bits of HMAC-SHA256.
    package func searchHash(of prefix: String, in field: String) -> Int64 {
        HMAC<SHA256>.authenticationCode(for: Data("\(field):\(prefix)".utf8), using: searchKey)
            .prefix(8).reduce(0) { $0 << 8 | Int64($1) }
    }

    /// Where an identifier is stored.
    package func place(of identifier: Identifier) -> IdentifierPlace {
        let text = "\(identifier.kind.rawValue):\(identifier.value)"
        let hash = Array(HMAC<SHA256>.authenticationCode(for: Data(text.utf8), using: key))
        return IdentifierPlace(
            shard: Shard.all[Int(hash[0]) % Shard.count], kind: identifier.kind, hash: Data(hash))
    }
}

extension IdentifierKey {
    /// What stands for a name that somebody goes by where no name may stand, such as in the key of a raw event: 128 bits
    /// of its keyed hash (HMAC-SHA256), in Base64.
    package func mark(of name: String) -> String {
        // Begun once for all: half of what a short text costs is the key.
        var hash = marks
        hash.update(data: Array("name \(name)".utf8))
        // 16 bytes are 22 letters; what follows fills up.
        return String(
            decoding: Data(hash.finalize().prefix(16)).base64EncodedData().prefix(22), as: UTF8.self)
    }
}

/// The primary key of an identifier's row.
package struct IdentifierPlace: Hashable, Sendable {
    package let shard: Shard
    package let kind: Identifier.Kind
    /// HMAC-SHA256 of kind and value.
    package let hash: Data

    package init(shard: Shard, kind: Identifier.Kind, hash: Data) {
        self.shard = shard
        self.kind = kind
        self.hash = hash
    }
}

extension IdentifierPlace: Comparable {
    /// The one order in which rows are locked and inserted, so that two transactions never wait for each other.
    package static func < (left: IdentifierPlace, right: IdentifierPlace) -> Bool {
        if left.shard != right.shard { return left.shard < right.shard }
        if left.kind != right.kind { return left.kind.rawValue.precedesInUTF8(right.kind.rawValue) }
        return left.hash.lexicographicallyPrecedes(right.hash)
    }
}
