import ConsentDomain
import Foundation
import Models
import Postgres
import Sealing

enum OptInTag {}
/// What somebody asked for by a form.
typealias OptInID = TypedID<OptInTag>

/// The SQL of what was asked for by forms and is not confirmed.
enum OptInStore {
    /// The kind of the deadlines at which they are forgotten.
    static let expiry = "opt-in"

    static func shard(_ id: OptInID) -> Shard { Shard(hashing: id.description) }
    /// Where the detail is sealed.
    static func place(of id: OptInID) -> String { "consent.opt_in.detail \(id)" }

    struct New: Sendable {
        let id: OptInID
        let addressHash: Data
        let networkHash: Data
        let sourceHash: Data
        let form: String
        let requestedAt: Instant
        let expiresAt: Instant
        /// Nil where no mail goes out.
        var digest: [UInt8]?
        var detail: String?
    }

    /// How many mails went to an address since an instant. Others wait with theirs until the transaction ends.
    static func mails(
        to address: Data, since: Instant, in transaction: PostgresTransaction
    ) async throws -> Int {
        let key = Int64(bitPattern: address.prefix(8).reduce(UInt64(0)) { $0 << 8 | UInt64($1) })
        _ = try await transaction.query("SELECT pg_advisory_xact_lock(\(key))")
        return try await transaction.query(
            """
            SELECT count(*) AS n FROM opt_in
            WHERE address_hash = \(address) AND is_mailed AND requested_at > \(since)
            """
        ).first?.get("n") ?? 0
    }

    /// How many forms came from an address, and from its network, since an instant. Others of the network wait with theirs
    /// until the transaction ends.
    static func forms(
        from source: Data, of network: Data, since: Instant, in transaction: PostgresTransaction
    ) async throws -> (ofSource: Int, ofNetwork: Int) {
        _ = try await transaction.query(
            "SELECT pg_advisory_xact_lock(hashtextextended(encode(\(network), 'hex'), 0))")
        let row = try await transaction.query(
            """
            SELECT (SELECT count(*) FROM opt_in WHERE source_hash = \(source) AND requested_at > \(since)) AS source,
                (SELECT count(*) FROM opt_in WHERE network_hash = \(network) AND requested_at > \(since)) AS network
            """
        ).first
        return (try row?.get("source") ?? 0, try row?.get("network") ?? 0)
    }

    static func create(_ new: New, in transaction: PostgresTransaction) async throws {
        try await transaction.execute(
            """
            INSERT INTO opt_in (shard, opt_in_id, address_hash, network_hash, source_hash, form_id, requested_at,
                expires_at, digest, detail, is_mailed)
            VALUES (\(shard(new.id)), \(new.id), \(new.addressHash), \(new.networkHash), \(new.sourceHash), \(new.form),
                \(new.requestedAt), \(new.expiresAt), \(new.digest), \(new.detail), \(new.digest != nil))
            """)
        try await transaction.execute(
            """
            INSERT INTO deadline (shard, kind, subject_id, due_at)
            VALUES (\(shard(new.id)), \(expiry), \(new.id), \(new.expiresAt))
            """)
    }

    /// The secret of one that waits to be confirmed, and its detail; locked where `locking`.
    static func waiting(
        _ id: OptInID, locking: Bool, in session: some PostgresSession
    ) async throws -> (token: VerificationToken, detail: String)? {
        let lock: SQL = locking ? "FOR UPDATE" : ""
        return try await session.query(
            """
            SELECT digest, expires_at, detail FROM opt_in
            WHERE shard = \(shard(id)) AND opt_in_id = \(id) AND digest IS NOT NULL AND detail IS NOT NULL \(lock)
            """
        ).first.map {
            (
                VerificationToken(digest: try $0.get("digest"), expiresAt: try $0.get("expires_at")),
                try $0.get("detail")
            )
        }
    }

    /// A secret is good once, and those that went to the same address before by the same form are good no more.
    static func use(_ id: OptInID, in transaction: PostgresTransaction) async throws {
        try await transaction.execute(
            """
            UPDATE opt_in o SET digest = NULL, detail = NULL FROM opt_in used
            WHERE used.shard = \(shard(id)) AND used.opt_in_id = \(id)
                AND (o.shard = used.shard AND o.opt_in_id = used.opt_in_id
                    OR o.address_hash = used.address_hash AND o.form_id = used.form_id
                        AND o.requested_at <= used.requested_at)
            """)
    }

    /// Forgets those that have expired; returns how many.
    static func expire(_ now: Instant, limit: Int, in transaction: PostgresTransaction) async throws -> Int {
        try await transaction.execute(
            """
            WITH due AS (
                DELETE FROM deadline d WHERE (d.shard, d.kind, d.subject_id) IN (
                    SELECT shard, kind, subject_id FROM deadline WHERE kind = \(expiry) AND due_at <= \(now)
                    ORDER BY due_at, subject_id LIMIT \(Int64(limit)) FOR UPDATE SKIP LOCKED)
                RETURNING d.shard, d.subject_id
            ), gone AS (
                DELETE FROM opt_in o USING due WHERE o.shard = due.shard AND o.opt_in_id = due.subject_id
            )
            SELECT 1 FROM due
            """)
    }

    /// What was asked for with the addresses of profiles and waits to be confirmed.
    static func waiting(
        of profiles: [ProfileID], vault: Vault, in session: some PostgresSession
    ) async throws -> [JSON] {
        let rows = try await session.query(
            """
            SELECT DISTINCT o.opt_in_id, o.requested_at, o.expires_at, o.detail
            FROM opt_in o JOIN profiles.identifier i ON o.address_hash = i.value_hash
            WHERE i.profile_id = ANY(\(profiles)::uuid[]) AND i.type = \(Identifier.Kind.email.rawValue)
                AND o.detail IS NOT NULL ORDER BY o.requested_at, o.opt_in_id
            """)
        var waiting: [JSON] = []
        for row in rows {
            let id: OptInID = try row.get("opt_in_id")
            waiting.append([
                "requestedAt": .string(try row.get("requested_at", as: Instant.self).rfc3339),
                "expiresAt": .string(try row.get("expires_at", as: Instant.self).rfc3339),
                "detail": try await vault.days.openJSON(
                    try row.get("detail", as: String.self), at: place(of: id)),
            ])
        }
        return waiting
    }

    /// Forgets what was asked for with the addresses and devices of profiles; returns how much it was.
    static func forget(_ profiles: [ProfileID], in transaction: PostgresTransaction) async throws -> Int {
        try await transaction.execute(
            """
            WITH gone AS (
                DELETE FROM opt_in o USING profiles.identifier i
                WHERE i.profile_id = ANY(\(profiles)::uuid[]) AND o.address_hash = i.value_hash
                RETURNING o.shard, o.opt_in_id
            ), late AS (
                DELETE FROM deadline d USING gone
                WHERE d.shard = gone.shard AND d.kind = \(expiry) AND d.subject_id = gone.opt_in_id
            )
            SELECT 1 FROM gone
            """)
    }
}
