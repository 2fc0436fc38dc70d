import Crypto
import Foundation
package import Models
package import Postgres

/// An API key as it is listed: everything but the secret, which is shown once, when it is made.
package struct APIKey: Sendable, Hashable {
    package let id: APIKeyID
    package let name: String
    package let scopes: Set<Scope>
    package let createdAt: Instant
    package let expiresAt: Instant?
    package let revokedAt: Instant?
}

/// Keeps API keys: hashed at rest, listed, rotated, revoked. Used by `martlet keys` under the owner's role.
package struct APIKeyStore: Sendable {
    private let pool: PostgresPool
    /// Who makes and ends keys, for the audit log.
    private let actor: String

    package init(pool: PostgresPool, actor: String = "command line") {
        self.pool = pool
        self.actor = actor
    }

    /// Makes a key and returns it with its text, which is stored nowhere.
    package func create(name: String, scopes: Set<Scope>, now: Instant, expiresAt: Instant? = nil)
        async throws
        -> (key: APIKey, text: String)
    {
        let text = Self.newText()
        let key = APIKey(
            id: APIKeyID(UUIDv7.make(at: now)), name: name, scopes: scopes, createdAt: now,
            expiresAt: expiresAt,
            revokedAt: nil)
        try await pool.transaction { transaction in
            try await Self.insert(key, text: text, replaces: nil, in: transaction)
            try await record("keys create", key.id, at: now, in: transaction)
        }
        return (key, text)
    }

    /// Makes a successor with the same name and scopes; the old key goes on until `overlap` is over.
    package func rotate(_ id: APIKeyID, overlap: Duration, now: Instant) async throws -> (
        key: APIKey, text: String
    )? {
        guard let old = try await list().first(where: { $0.id == id && $0.revokedAt == nil }) else {
            return nil
        }
        let text = Self.newText()
        let key = APIKey(
            id: APIKeyID(UUIDv7.make(at: now)), name: old.name, scopes: old.scopes, createdAt: now,
            expiresAt: nil,
            revokedAt: nil)
        try await pool.transaction { transaction in
            try await Self.insert(key, text: text, replaces: old.id, in: transaction)
            try await transaction.execute(
                """
                UPDATE platform.api_key SET expires_at = least(coalesce(expires_at, 'infinity'), \(now + overlap))
                WHERE key_id = \(id)
                """)
            try await record("keys rotate", id, at: now, in: transaction)
        }
        return (key, text)
    }

    /// Ends a key at once; false when there is no such key in force.
    package func revoke(_ id: APIKeyID, now: Instant) async throws -> Bool {
        try await pool.transaction { transaction in
            let ended = try await transaction.execute(
                "UPDATE platform.api_key SET revoked_at = \(now) WHERE key_id = \(id) AND revoked_at IS NULL")
            if ended > 0 { try await record("keys revoke", id, at: now, in: transaction) }
            return ended > 0
        }
    }

    private func record(
        _ command: String, _ id: APIKeyID, at now: Instant, in transaction: PostgresTransaction
    ) async throws {
        let entry = AuditEntry(
            actor: actor, action: .change, route: "martlet \(command)", target: id.description)
        try await AuditStore(.keys).append([entry], at: now, in: transaction)
    }

    package func list() async throws -> [APIKey] {
        try await pool.query(
            """
            SELECT key_id, name, scopes, created_at, expires_at, revoked_at
            FROM platform.api_key ORDER BY created_at, key_id
            """
        ).map(Self.key)
    }

    /// The key with this text, if it is in force.
    package func find(text: String, now: Instant) async throws -> APIKey? {
        try await pool.query(
            """
            SELECT key_id, name, scopes, created_at, expires_at, revoked_at FROM platform.api_key
            WHERE secret_hash = \(Self.hash(text)) AND revoked_at IS NULL
              AND (expires_at IS NULL OR expires_at > \(now))
            """
        ).first.map(Self.key)
    }

    private static func insert(
        _ key: APIKey, text: String, replaces: APIKeyID?, in transaction: PostgresTransaction
    ) async throws {
        try await transaction.execute(
            """
            INSERT INTO platform.api_key (key_id, name, secret_hash, scopes, created_at, expires_at, replaces)
            VALUES (\(key.id), \(key.name), \(hash(text)), \(key.scopes.map(\.rawValue).sorted())::text[],
                    \(key.createdAt), \(key.expiresAt), \(replaces))
            """)
    }

    private static func key(_ row: PostgresRow) throws -> APIKey {
        APIKey(
            id: try row.get("key_id", as: APIKeyID.self), name: try row.get("name", as: String.self),
            scopes: Set(try row.get("scopes", as: [String].self).compactMap(Scope.init(rawValue:))),
            createdAt: try row.get("created_at", as: Instant.self),
            expiresAt: try row.get("expires_at", as: Instant?.self),
            revokedAt: try row.get("revoked_at", as: Instant?.self))
    }

    private static func hash(_ text: String) -> [UInt8] { Array(SHA256.hash(data: Data(text.utf8))) }

    /// `mk_` and 256 random bits.
    private static func newText() -> String {
        "mk_" + SymmetricKey(size: .bits256).withUnsafeBytes { Data($0) }.base64URL
    }
}
