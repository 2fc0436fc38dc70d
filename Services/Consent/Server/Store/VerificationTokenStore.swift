import ConsentDomain
import Models
import Postgres

/// The SQL of the secrets that show who asks.
enum VerificationTokenStore {
    /// Puts a token in the place of the one before; returns how many there have been, this one too.
    static func put(
        _ token: VerificationToken, of id: PrivacyRequestID, in transaction: PostgresTransaction
    ) async throws -> Int {
        let rows = try await transaction.query(
            """
            INSERT INTO privacy_token AS t (shard, request_id, digest, expires_at, failures, issued)
            VALUES (\(PrivacyRequestStore.shard(id)), \(id), \(token.digest), \(token.expiresAt), 0, 1)
            ON CONFLICT (shard, request_id) DO UPDATE SET digest = excluded.digest, expires_at = excluded.expires_at,
                failures = 0, issued = t.issued + 1
            RETURNING issued
            """)
        return try rows.first?.get("issued", as: Int.self) ?? 0
    }

    static func lock(
        of id: PrivacyRequestID, in transaction: PostgresTransaction
    ) async throws -> VerificationToken? {
        try await transaction.query(
            """
            SELECT digest, expires_at, failures FROM privacy_token
            WHERE shard = \(PrivacyRequestStore.shard(id)) AND request_id = \(id) FOR UPDATE
            """
        ).first.map { row in
            VerificationToken(
                digest: try row.get("digest"), expiresAt: try row.get("expires_at"),
                failures: try row.get("failures"))
        }
    }

    static func count(
        _ token: VerificationToken, of id: PrivacyRequestID, in transaction: PostgresTransaction
    ) async throws {
        try await transaction.execute(
            """
            UPDATE privacy_token SET failures = \(token.failures)
            WHERE shard = \(PrivacyRequestStore.shard(id)) AND request_id = \(id)
            """)
    }

    /// A token is good once, and for nothing when its request has ended.
    static func remove(of ids: [PrivacyRequestID], in transaction: PostgresTransaction) async throws {
        guard !ids.isEmpty else { return }
        try await transaction.execute(
            """
            DELETE FROM privacy_token t USING unnest(\(ids.map { PrivacyRequestStore.shard($0) })::smallint[],
                \(ids)::uuid[]) AS g(shard, id)
            WHERE t.shard = g.shard AND t.request_id = g.id
            """)
    }
}
