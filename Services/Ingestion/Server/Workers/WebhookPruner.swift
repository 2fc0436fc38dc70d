import Logging
import Models
import Postgres
import ServiceKit

/// Forgets accepted requests of webhooks when they have expired: from then on they are stale, or their events are
/// known no longer either.
struct WebhookPruner: Pruner {
    let pool: PostgresPool
    let clock: ServiceClock
    let logger: Logger

    /// Forgets some, and returns how many.
    func prune() async throws -> Int {
        try await WebhookDeliveryStore.prune(limit: Self.batch, now: try await clock.now(), in: pool)
    }
}
