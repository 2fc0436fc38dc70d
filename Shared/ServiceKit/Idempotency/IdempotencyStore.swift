package import Models
package import Postgres

/// The SQL of answers kept under an Idempotency-Key.
package enum IdempotencyStore {
    /// A key as it was used before.
    struct Used: Sendable {
        let requestDigest: [UInt8]
        let status: Int?
        let body: String?
    }

    static let kept: Duration = .hours(24)

    static func shard(caller: String, key: String) -> Shard { Shard(hashing: "\(caller) \(key)") }

    /// Takes the key for this transaction; nil when it is new, else what it was used for. Waits for another
    /// request with the same key that is under way.
    static func take(
        caller: String, key: String, requestDigest: [UInt8], at now: Instant,
        in transaction: PostgresTransaction
    ) async throws -> Used? {
        let shard = shard(caller: caller, key: key)
        try await transaction.execute(
            "DELETE FROM idempotency_key WHERE shard = \(shard) AND created_at < \(now - kept)")
        let taken = try await transaction.execute(
            """
            INSERT INTO idempotency_key (shard, caller, key, request_digest, created_at)
            VALUES (\(shard), \(caller), \(key), \(requestDigest), \(now)) ON CONFLICT DO NOTHING
            """)
        if taken == 1 { return nil }
        return try await transaction.query(
            """
            SELECT request_digest, status, body FROM idempotency_key
            WHERE shard = \(shard) AND caller = \(caller) AND key = \(key)
            """
        ).first.map { row in
            Used(
                requestDigest: try row.get("request_digest"), status: try row.get("status", as: Int?.self),
                body: try row.get("body", as: String?.self))
        }
    }

    /// Keeps the answer for repetitions.
    static func keep(
        caller: String, key: String, status: Int, body: String, profileID: ProfileID?,
        in transaction: PostgresTransaction
    ) async throws {
        try await transaction.execute(
            """
            UPDATE idempotency_key SET status = \(status), body = \(body), profile_id = \(profileID)
            WHERE shard = \(shard(caller: caller, key: key)) AND caller = \(caller) AND key = \(key)
            """)
    }

    /// Drops the answers about the profiles.
    package static func drop(_ profiles: [ProfileID], in transaction: PostgresTransaction) async throws -> Int
    {
        try await transaction.execute(
            "DELETE FROM idempotency_key WHERE profile_id = ANY (\(profiles)::uuid[])")
    }
}
