import Models
import Postgres
import ServiceKit
import Streams

/// Fires deadlines: memberships that time alone begins and ends.
struct DeadlineWorker {
    let pool: PostgresPool
    let registry: SegmentRegistry
    let history: HistoryWatch
    /// How many profiles are taken in one transaction.
    private static let batch = 500

    func sweeper(in context: ServiceContext, after consumers: [StreamConsumer]) -> DeadlineSweeper {
        context.sweeper(after: consumers) { now in try await fire(now) }
    }

    /// Fires the earliest deadlines, each with its own instant as the present, in due order across the profiles.
    func fire(_ now: Instant) async throws -> Int {
        let earliest = history.isReading ? now - HistoryWatch.age : nil
        let fired = try await fire(now, from: earliest)
        // Those of back then wait for the rest of their history; there is no hurry with them.
        if fired == 0, earliest != nil { try await Task.sleep(for: .milliseconds(50)) }
        return fired
    }

    private func fire(_ now: Instant, from earliest: Instant?) async throws -> Int {
        try await pool.transaction { transaction in
            let decider = try await registry.decider(in: transaction)
            let store = StateStore(transaction: transaction, registry: registry)
            let due = try await store.due(from: earliest ?? .distantPast, upTo: now, limit: Self.batch)
            guard let last = due.last else { return 0 }
            // A profile may have several deadlines by now. Those beyond the last row that was read wait, because the
            // deadlines of other profiles may lie before them.
            let horizon = due.count == Self.batch ? last.at : now
            let states = try await store.lockExisting(Set(due.map(\.id)))
            var work = MembershipWork(
                decider: decider, states: states, now: now, vault: registry.vault, in: transaction)
            try await work.refresh()
            for (id, _) in due { work.advance(id, to: horizon) }
            work.sortChanges()
            try await work.write()
            return due.count
        }
    }
}
