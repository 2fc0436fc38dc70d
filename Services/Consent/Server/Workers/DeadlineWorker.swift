import Models
import Postgres
import ServiceKit
import Streams

/// Fires what is due: reminders of requests, forms that nobody confirmed, and corrections that identity has yet to hear of.
struct DeadlineWorker: Sendable {
    let pool: PostgresPool
    let desk: PrivacyDesk
    let rectification: Rectification
    let clock: ServiceClock
    /// How many are taken in one transaction.
    private static let batch = 200

    func sweeper(in context: ServiceContext) -> DeadlineSweeper {
        context.sweeper(after: []) { now in try await fire(now) }
    }

    func fire(_ now: Instant) async throws -> Int {
        let reminded = try await pool.transaction { transaction in
            try await desk.remind(upTo: now, limit: Self.batch, in: transaction)
        }
        if reminded > 0 { return reminded }
        let expired = try await pool.transaction { transaction in
            try await OptInStore.expire(now, limit: Self.batch, in: transaction)
        }
        if expired > 0 { return expired }
        return try await rectification.fire(now, limit: Self.batch, desk: desk)
    }
}
