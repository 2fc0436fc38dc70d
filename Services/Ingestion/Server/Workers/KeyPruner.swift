import Logging
import Models
import Postgres
import ServiceKit
import ServiceLifecycle

/// Forgets message keys when the window of deduplication has passed. They count for nothing from then on; this only
/// gives their room back.
struct KeyPruner: Service {
    let pool: PostgresPool
    let clock: ServiceClock
    let window: Duration
    let logger: Logger

    private static let batch = 10_000
    private static let pause = Duration.seconds(600)

    func run() async throws {
        await cancelWhenGracefulShutdown { await loop() }
    }

    private func loop() async {
        while !Task.isCancelled {
            do {
                while try await prune() == Self.batch {}
            } catch {
                if Task.isCancelled { return }
                logger.debug("message keys are not pruned; trying again", metadata: ["error": "\(error)"])
            }
            try? await Task.sleep(for: Self.pause)
        }
    }

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
