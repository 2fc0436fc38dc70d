package import Logging
package import Models
package import Postgres
import ServiceLifecycle

/// Fires deadlines at their instant: sleeps until the earliest `due_at` of a table, then has it fired.
///
/// Before firing it lets the facts that are already recorded go first, so that a deadline is decided with all
/// that is known at its instant, also after the service was away for a while.
package final class DeadlineSweeper: Service {
    /// Fires what is due up to `now`, in due order, each decided with its own due instant as the present;
    /// returns how many it fired. It is called until it returns 0.
    package typealias Fire = @Sendable (_ now: Instant) async throws -> Int

    private let schema: String
    private let pool: PostgresPool
    private let hub: WakeHub
    private let now: @Sendable () async throws -> Instant
    private let advancesByItself: Bool
    private let facts: FactsFirst
    private let fire: Fire
    private let logger: Logger

    /// `advancesByItself` is false for a rehearsal's clock, which moves only when told to. `consumers` are those
    /// whose facts go first.
    package init(
        schema: String, pool: PostgresPool, hub: WakeHub, now: @escaping @Sendable () async throws -> Instant,
        advancesByItself: Bool, after consumers: [StreamConsumer], logger: Logger,
        fire: @escaping Fire
    ) {
        self.schema = schema
        self.pool = pool
        self.hub = hub
        self.now = now
        self.advancesByItself = advancesByItself
        facts = FactsFirst(consumers)
        self.logger = logger
        self.fire = fire
    }

    /// The channel that announces deadlines of a schema.
    package static func channel(schema: String) -> String { "deadline_\(schema)" }
    /// The channel that announces a moved rehearsal clock.
    package static let clockChannel = "platform_clock"

    /// To be called in each transaction that writes a deadline, so that an earlier one is not slept through.
    package static func notify(schema: String, in transaction: PostgresTransaction) async throws {
        try await transaction.notify(channel(schema: schema))
    }

    package func run() async throws {
        await cancelWhenGracefulShutdown { await self.loop() }
    }

    /// Fires everything that is due now and returns how many; for tests that step by hand.
    @discardableResult
    package func sweep() async throws -> Int {
        var total = 0
        while true {
            let fired = try await fire(try await now())
            if fired == 0 { return total }
            total += fired
        }
    }

    private func loop() async {
        var backoff = Backoff()
        while !Task.isCancelled {
            do {
                let ticket = await hub.ticket([Self.channel(schema: schema), Self.clockChannel])
                let present = try await now()
                guard let due = try await earliest() else {
                    await hub.wait(ticket, upTo: .seconds(30))
                    continue
                }
                if due > present {
                    // Half a minute at a time at most, so that a wall clock that is set forward is noticed.
                    let left = advancesByItself ? min(due - present, .seconds(30)) : .seconds(30)
                    await hub.wait(ticket, upTo: left)
                    continue
                }
                try await facts.wait()
                _ = try await fire(present)
                backoff.reset()
            } catch {
                if Task.isCancelled { return }
                let pause = backoff.next()
                logger.log(
                    level: backoff.attempts > 3 ? .warning : .debug, "deadlines are not firing; trying again",
                    metadata: ["error": "\(error)", "pause": "\(pause)"])
                try? await Task.sleep(for: pause)
            }
        }
    }

    private func earliest() async throws -> Instant? {
        try await pool.query("SELECT min(due_at) AS due FROM \(unsafe: schema).deadline")
            .first?.get("due", as: Instant?.self)
    }
}
