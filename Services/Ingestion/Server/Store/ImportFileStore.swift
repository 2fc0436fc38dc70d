import Foundation
import IngestionDomain
import Models
import Postgres
import Sealing

/// The SQL of files while they are taken in.
struct ImportFileStore: Sendable {
    let pool: PostgresPool
    let vault: ImportVault

    /// Adds a piece at the end of what is stored of a locked import.
    func append(
        _ bytes: [UInt8], to stored: StoredImport, at now: Instant, in transaction: PostgresTransaction
    ) async throws {
        let data = try vault.seal(bytes, of: stored.id, at: stored.storedBytes)
        try await transaction.execute(
            """
            INSERT INTO import_chunk (shard, import_id, "offset", size, data)
            VALUES (\(ImportStore.shard(of: stored.id)), \(stored.id), \(stored.storedBytes), \(bytes.count), \(data))
            """)
        try await transaction.execute(
            """
            UPDATE import SET stored_bytes = stored_bytes + \(Int64(bytes.count)), touched_at = \(now)
            WHERE import_id = \(stored.id)
            """)
    }

    /// The piece that begins at a place, and the state and run that the import is in now.
    func piece(
        of id: ImportID, at offset: Int64
    ) async throws -> (bytes: [UInt8], state: ImportState, run: Int)? {
        let row = try await pool.query(
            """
            SELECT c.data, i.state, i.run FROM import i
            JOIN import_chunk c ON c.shard = \(ImportStore.shard(of: id)) AND c.import_id = i.import_id
                AND c."offset" = \(offset)
            WHERE i.import_id = \(id)
            """
        ).first
        guard let row else { return nil }
        return (
            try vault.open(try row.get("data", as: Data.self), of: id, at: offset),
            ImportState(rawValue: try row.get("state")) ?? .failed, try row.get("run")
        )
    }

    /// Deletes pieces of files whose import has ended, at most `limit`, and returns how many. When the last has gone the
    /// import has no file any more.
    func deletePieces(limit: Int) async throws -> Int {
        let ended = try await pool.query(
            """
            SELECT import_id FROM import WHERE has_file AND state IN ('done', 'cancelled') ORDER BY touched_at LIMIT 100
            """
        ).map { try $0.get("import_id", as: ImportID.self) }
        var deleted = 0
        for id in ended {
            deleted += try await pool.transaction { transaction in
                let count = try await transaction.execute(
                    """
                    DELETE FROM import_chunk WHERE shard = \(ImportStore.shard(of: id)) AND import_id = \(id)
                      AND "offset" IN (
                        SELECT "offset" FROM import_chunk
                        WHERE shard = \(ImportStore.shard(of: id)) AND import_id = \(id)
                        LIMIT \(Int64(max(1, limit - deleted))))
                    """)
                if count < limit - deleted {
                    try await transaction.execute(
                        "UPDATE import SET has_file = false WHERE import_id = \(id) AND state IN ('done', 'cancelled')"
                    )
                }
                return count
            }
            if deleted >= limit { break }
        }
        return deleted
    }

    /// Cancels imports that nobody has touched for long, whose files nobody will miss.
    func abandon(before: Instant, at now: Instant) async throws {
        try await pool.execute(
            """
            UPDATE import SET state = 'cancelled', ended_at = \(now), failure = 'nobody touched it for a week'
            WHERE has_file AND state IN ('draft', 'paused', 'failed') AND touched_at < \(before)
            """)
    }
}
