import Logging
import Models
import Postgres
import ServiceKit

/// Forgets message keys when the window of deduplication has passed. They count for nothing from then on; this only
/// gives their room back.
struct KeyPruner: Pruner {
    let pool: PostgresPool
    let clock: ServiceClock
    let window: Duration
    let logger: Logger

    /// Forgets some keys, and returns how many. A full hour is kept beyond the window, so that the account can be
    /// proved for whole hours.
    func prune() async throws -> Int {
        let before = try await clock.now() - window - .hours(1)
        return try await pool.execute(
            """
            DELETE FROM message_key WHERE (shard, source_id, message_id) IN (
                SELECT shard, source_id, message_id FROM message_key WHERE received_at < \(before)
                LIMIT \(Int64(Self.batch)) FOR UPDATE SKIP LOCKED)
            """)
    }
}
