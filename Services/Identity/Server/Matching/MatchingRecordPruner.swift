import Logging
import Models
import Postgres
import ServiceKit
import ServiceLifecycle

/// Drops, now and then, what is left of records that were brought long ago, with the questions that nobody has answered.
struct MatchingRecordPruner: Service {
    let pool: PostgresPool
    let kept: Duration
    let clock: ServiceClock
    let logger: Logger
    /// Rows in one statement.
    private static let batch = 10_000
    private static let pace: Duration = .seconds(600)

    func run() async throws {
        await cancelWhenGracefulShutdown {
            while !Task.isCancelled {
                do {
                    while try await prune() == Self.batch {}
                } catch {
                    if Task.isCancelled { return }
                    logger.debug("old records are not pruned; trying again", metadata: ["error": "\(error)"])
                }
                try? await Task.sleep(for: Self.pace)
            }
        }
    }

    /// Deletes some rows, and returns how many.
    func prune() async throws -> Int {
        let now = try await clock.now()
        return try await pool.transaction {
            try await MatchingRecordStore.expire(before: now - kept, limit: Self.batch, in: $0)
        }
    }
}
