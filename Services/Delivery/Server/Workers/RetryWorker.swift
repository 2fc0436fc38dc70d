import Logging
import Models
import Postgres
import ServiceKit
import ServiceLifecycle
import Streams

/// Queues messages again when their next attempt is due.
///
/// The general sweeper won't do: the table also holds the messages under way, which nothing fires.
struct RetryWorker: Service {
    let context: ServiceContext
    let store: QueueStore

    func run() async throws {
        await cancelWhenGracefulShutdown { await loop() }
    }

    private func loop() async {
        while !Task.isCancelled {
            do {
                let ticket = await context.hub.ticket([
                    DeadlineSweeper.channel(schema: context.name.schema), DeadlineSweeper.clockChannel,
                ])
                let now = try await context.clock.now()
                guard let due = try await store.nextRetry(context.pool) else {
                    await context.hub.wait(ticket, upTo: .seconds(30))
                    continue
                }
                if due <= now {
                    try await context.pool.transaction { _ = try await store.queueDue(now, in: $0) }
                } else {
                    // Half a minute at a time, so that a wall clock that is set forward is noticed.
                    let left = context.clock.advancesByItself ? min(due - now, .seconds(30)) : .seconds(30)
                    await context.hub.wait(ticket, upTo: left)
                }
            } catch {
                if Task.isCancelled { return }
                context.logger.warning(
                    "retries are not queued; trying again", metadata: ["error": "\(error)"])
                try? await Task.sleep(for: .seconds(1))
            }
        }
    }
}
