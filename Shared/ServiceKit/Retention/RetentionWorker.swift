import Logging
import Models
import Postgres
import ServiceLifecycle
import Streams

/// Lets go of what a service keeps no longer by the policy in force, some rows in a transaction, and tells consent what is
/// gone: the report is in the transaction of the last of them.
package final class RetentionWorker: Service {
    private let context: ServiceContext
    private let tasks: RetentionTasks
    private let limit: Int
    private var store: RetentionStore { RetentionStore(schema: context.name.schema) }

    /// How long nothing is looked for after nothing was left.
    private static let pause: Duration = .seconds(600)

    /// `limit` is how many rows a transaction may look at.
    package init(_ context: ServiceContext, limit: Int = 2_000, tasks: @escaping RetentionTasks) {
        self.context = context
        self.limit = limit
        self.tasks = tasks
    }

    package func run() async throws {
        await cancelWhenGracefulShutdown { await self.loop() }
    }

    private func loop() async {
        while !Task.isCancelled {
            let ticket = await context.hub.ticket([DeadlineSweeper.clockChannel])
            do {
                try await sweep()
            } catch {
                if Task.isCancelled { return }
                context.logger.warning(
                    "retention is not kept; trying again", metadata: ["error": "\(error)"])
            }
            await context.hub.wait(ticket, upTo: Self.pause)
        }
    }

    /// Lets go of everything that is due now; returns how many rows it were. `most` ends it after so many transactions.
    @discardableResult
    package func sweep(most: Int = .max) async throws -> Int {
        guard let current = try await CurrentRetention.read(in: context.pool) else { return 0 }
        let now = try await context.clock.now()
        var (total, left) = (0, most)
        var failure: (any Error)?
        for task in try await tasks(current, now, context.pool) {
            do {
                while left > 0 {
                    left -= 1
                    let progress = try await step(task, current.version, at: now)
                    total += progress.rows
                    if progress.isDone { break }
                }
            } catch {
                // One that fails keeps none of the others from theirs.
                if Task.isCancelled { throw error }
                failure = failure ?? error
            }
        }
        if let failure { throw failure }
        return total
    }

    private func step(
        _ task: RetentionTask, _ version: Int64, at now: Instant
    ) async throws -> RetentionTask.Progress {
        try await context.pool.transaction { [self] transaction in
            // Another instance is at it.
            guard try await store.take(task, in: transaction) else { return .init(rows: 0, isDone: true) }
            // What was corrected meanwhile must not go by what was wrong: the next sweep goes by what is in force.
            guard try await CurrentRetention.read(in: transaction)?.version == version else {
                return .init(rows: 0, isDone: true)
            }
            var run = try await store.run(of: task, in: transaction)
            if let before = run, !before.continues(task, version: version) {
                try await end(before, of: task, at: now, in: transaction)
                run = nil
            }
            let progress = try await task.act(
                .init(boundary: task.boundary, limit: limit, now: now), transaction)
            if progress.rows > 0 {
                var next =
                    run
                    ?? .init(
                        id: UUIDv7.make(at: now), version: version, boundary: task.boundary, startedAt: now,
                        rows: 0)
                next.rows += Int64(progress.rows)
                try await store.keep(next, of: task, in: transaction)
                run = next
            }
            if progress.isDone, let run { try await end(run, of: task, at: now, in: transaction) }
            return progress
        }
    }

    private func end(
        _ run: RetentionStore.Run, of task: RetentionTask, at now: Instant,
        in transaction: PostgresTransaction
    ) async throws {
        try await store.drop(run, in: transaction)
        try await context.outbox.enqueue(
            target: .consent, method: "PUT", path: "/v1/retention/runs/\(run.id.hyphenated)",
            body: [
                "class": .string(task.kind.rawValue), "rule": task.rule.map { .string($0) } ?? .null,
                "policyVersion": .integer(run.version), "boundary": .string(run.boundary.rfc3339),
                "rows": .integer(run.rows), "startedAt": .string(run.startedAt.rfc3339),
                "endedAt": .string(now.rfc3339),
            ], in: transaction, at: now)
    }
}
