/// One numbered step of a schema. Its text never changes once it has been applied anywhere.
package struct Migration: Sendable, Hashable {
    package var version: Int
    package var name: String
    package var sql: String

    package init(version: Int, name: String, sql: String) {
        self.version = version
        self.name = name
        self.sql = sql
    }

    /// An embedded file: `Migration(resource: "V0001_initial", bytes: PackageResources.V0001_initial_sql)`.
    /// A name of another form gives version 0, which the migrator refuses.
    package init(resource: String, bytes: [UInt8]) {
        let parts = resource.split(separator: "_", maxSplits: 1)
        let number = parts.first?.hasPrefix("V") == true ? Int(parts[0].dropFirst()) : nil
        self.init(
            version: number ?? 0, name: parts.count == 2 ? String(parts[1]) : resource,
            sql: String(decoding: bytes, as: UTF8.self))
    }

    /// The 64-bit FNV-1a hash of the text and its length in bytes. It finds edited files, by accident or habit; it
    /// isn't meant to withstand somebody who wants to deceive.
    package var checksum: String {
        var hash: UInt64 = 0xcbf2_9ce4_8422_2325
        for byte in sql.utf8 { hash = (hash ^ UInt64(byte)) &* 0x0000_0100_0000_01b3 }
        let digits = String(hash, radix: 16)
        return String(repeating: "0", count: 16 - digits.count) + digits + "-\(sql.utf8.count)"
    }
}

/// Why a schema was not migrated.
package enum MigrationError: Error, CustomStringConvertible {
    /// A migration that is already applied has another text now.
    case changed(schema: String, version: Int, name: String)
    /// The versions of the list aren't 1, 2, 3, …
    case misnumbered(schema: String, found: Int, expected: Int)
    /// The file itself is wrong; nothing of it is applied.
    case failed(schema: String, version: Int, name: String, reason: String)

    package var description: String {
        switch self {
        case .changed(let schema, let version, let name):
            """
            migration V\(version) (\(name)) of schema \(schema) was changed after it had been applied: \
            restore its text and put the change into a new migration
            """
        case .misnumbered(let schema, let found, let expected):
            "the migrations of schema \(schema) must be numbered 1, 2, 3, …: found \(found) instead of \(expected)"
        case .failed(let schema, let version, let name, let reason):
            "migration V\(version) (\(name)) of schema \(schema) failed: \(reason)"
        }
    }
}
