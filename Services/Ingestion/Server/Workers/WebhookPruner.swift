import Logging
import Models
import Postgres
import ServiceKit
import ServiceLifecycle

/// Forgets accepted requests of webhooks when they have expired: from then on they are stale, or their events are
/// known no longer either.
struct WebhookPruner: Service {
    let pool: PostgresPool
    let clock: ServiceClock
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
                logger.debug(
                    "webhook deliveries are not pruned; trying again", metadata: ["error": "\(error)"])
            }
            try? await Task.sleep(for: Self.pause)
        }
    }

    /// Forgets some, and returns how many.
    func prune() async throws -> Int {
        try await WebhookDeliveryStore.prune(limit: Self.batch, now: try await clock.now(), in: pool)
    }
}
