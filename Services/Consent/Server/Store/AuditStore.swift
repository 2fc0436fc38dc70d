import ConsentDomain
import Models
import Postgres
import Sealing

/// The SQL of verifying the ledger.
enum AuditStore {
    /// The recorded end of a shard's chain; nil when it never had an entry.
    static func head(
        of shard: Shard, in transaction: PostgresTransaction
    ) async throws -> (position: Int64, hash: [UInt8])? {
        let rows = try await transaction.query(
            "SELECT position, hash FROM ledger_head WHERE shard = \(shard)")
        return try rows.first.map { (try $0.get("position"), try $0.get("hash")) }
    }

    /// The hashes of entries of a shard by their positions.
    static func hashes(
        of shard: Shard, at positions: [Int64], in transaction: PostgresTransaction
    ) async throws -> [Int64: [UInt8]] {
        let rows = try await transaction.query(
            """
            SELECT position, hash FROM ledger_entry WHERE shard = \(shard) AND position = ANY(\(positions)::bigint[])
            """)
        return Dictionary(
            try rows.map { (try $0.get("position"), try $0.get("hash")) }, uniquingKeysWith: { $1 })
    }

    /// A page of a shard's entries after a position, with what is known of the persons behind them.
    static func entries(
        of shard: Shard, after position: Int64, limit: Int, vault: Vault, in transaction: PostgresTransaction
    ) async throws -> [(sealed: SealedEntry, standing: ChainVerifier.Standing)] {
        let rows = try await transaction.query(
            """
            SELECT e.*, s.profile_id, s.salt, s.evidence, x.entry_id IS NOT NULL AS is_erased
            FROM ledger_entry e
            LEFT JOIN ledger_subject s ON s.shard = e.shard AND s.entry_id = e.entry_id
            LEFT JOIN ledger_erasure x ON x.shard = e.shard AND x.entry_id = e.entry_id
            WHERE e.shard = \(shard) AND e.position > \(position)
            ORDER BY e.position LIMIT \(Int64(limit))
            """)
        var entries: [(sealed: SealedEntry, standing: ChainVerifier.Standing)] = []
        for row in rows { entries.append((try sealed(row), try await standing(row, vault))) }
        return entries
    }

    private static func sealed(_ row: PostgresRow) throws -> SealedEntry {
        SealedEntry(
            shard: try row.get("shard"), position: try row.get("position"), id: try row.get("entry_id"),
            subjectDigest: try row.get("subject_digest"), evidenceDigest: try row.get("evidence_digest"),
            purpose: try row.get("purpose"), action: try LedgerStore.action(row),
            source: try row.get("source"),
            textVersion: try row.get("text_version", as: String?.self),
            locale: try row.get("locale", as: String?.self),
            policyVersion: try row.get("policy_version", as: Int64?.self),
            occurredAt: try row.get("occurred_at"),
            recordedAt: try row.get("recorded_at"), previousHash: try row.get("previous_hash"),
            hash: try row.get("hash"))
    }

    private static func standing(
        _ row: PostgresRow, _ vault: Vault
    ) async throws -> ChainVerifier.Standing {
        if let profileID = try row.get("profile_id", as: ProfileID?.self) {
            let evidence: String?
            do {
                evidence = try await vault.days.open(
                    try row.get("evidence", as: String.self),
                    at: LedgerStore.place(of: try row.get("entry_id")))
            } catch SealingError.altered {
                // Whatever it is now, it is not what the entry commits to.
                evidence = ""
            }
            guard let evidence else { return .missing }
            return .known(
                EntrySubject(profileID: profileID, evidence: evidence, salt: try row.get("salt")))
        }
        return try row.get("is_erased", as: Bool.self) ? .erased : .missing
    }
}
