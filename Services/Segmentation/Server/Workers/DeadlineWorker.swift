import Logging
import Metrics
import Models
import Postgres
import ServiceKit
import Streams

/// Fires deadlines: memberships that time alone begins and ends.
struct DeadlineWorker {
    let pool: PostgresPool
    let registry: SegmentRegistry
    let history: HistoryWatch
    let logger: Logger
    /// How many profiles are taken in one transaction.
    static let batch = 500
    /// In how many parts the shards are taken side by side where many are due, as at midnight.
    private static let lanes = 4

    func sweeper(in context: ServiceContext, after consumers: [StreamConsumer]) -> DeadlineSweeper {
        context.sweeper(after: consumers) { now in try await fire(now) }
    }

    /// Fires all deadlines up to `now`, each with its own instant as the present; those of one profile in due order. The
    /// facts that were there at the beginning have gone first.
    func fire(_ now: Instant) async throws -> Int {
        var fired = 0
        while !Task.isCancelled {
            let isReading = try await history.isReading()
            let earliest = isReading ? now - HistoryWatch.age : .distantPast
            let (some, isWaiting) = try await round(from: earliest, to: now)
            fired += some
            guard some == 0 else { continue }
            // Those of back then wait for the rest of their history, and those whose states others hold for these; there
            // is no hurry with them.
            if isReading || isWaiting { try await Task.sleep(for: .milliseconds(isReading ? 50 : 5)) }
            break
        }
        return fired
    }

    /// Takes some of what is due, and says how many, and whether there are others that are held by somebody else.
    private func round(from earliest: Instant, to now: Instant) async throws -> (fired: Int, isWaiting: Bool)
    {
        let found = try await pool.withConnection {
            try await StateStore.countDue(from: earliest, upTo: now, limit: Self.batch + 1, in: $0)
        }
        guard found > 0 else { return (0, false) }
        guard found > Self.batch else {
            let fired = try await fire(Shard.all, from: earliest, to: now)
            return (fired, fired == 0)
        }
        let fired = try await withThrowingTaskGroup(of: Int.self) { group in
            for lane in 0..<Self.lanes {
                let shards = Shard.all.filter { Int($0.number) % Self.lanes == lane }
                group.addTask { try await fire(shards, from: earliest, to: now) }
            }
            return try await group.reduce(0, +)
        }
        return (fired, fired == 0)
    }

    /// Fires the earliest of some shards, together where that goes and else one by one: whose deadline cannot be fired, because
    /// their state does not read or is too large to be made anew, keeps nobody else waiting.
    private func fire(_ shards: [Shard], from earliest: Instant, to now: Instant) async throws -> Int {
        do { return try await fireTogether(shards, from: earliest, to: now, limit: Self.batch) } catch {
            guard Self.mayBeOfOne(error) else { throw error }
        }
        let due = try await pool.transaction { transaction in
            // Where the rules do not read it is nobody's state.
            _ = try await registry.decider(in: transaction)
            return try await StateStore.due(
                in: shards, from: earliest, upTo: now, limit: Self.batch, in: transaction)
        }
        var fired = 0
        var failed: [(id: ProfileID, at: Instant, error: any Error)] = []
        for (id, at) in due {
            do {
                fired += try await fireTogether([Shard(id)], of: id, from: earliest, to: now, limit: 1)
            } catch {
                guard Self.mayBeOfOne(error) else { throw error }
                failed.append((id, at, error))
            }
        }
        // Where none can be fired, it is hardly the fault of each of them.
        let isOfAll = due.count > 1 && failed.count == due.count
        for (id, at, error) in failed {
            let limit: Duration = isOfAll ? .seconds(5) : error is RetryLater ? .seconds(60) : .hours(1)
            fired += try await putOff(id, dueAt: at, now, within: limit, because: error)
        }
        return fired
    }

    /// Has one tried again later, and says so; returns how many rows were changed for it.
    private func putOff(
        _ id: ProfileID, dueAt due: Instant, _ now: Instant, within limit: Duration, because error: any Error
    ) async throws -> Int {
        let attempts = try await pool.withConnection {
            try await StateStore.putOff(id, dueAt: due, now: now, within: limit, in: $0)
        }
        guard let attempts else { return 0 }
        Counter(label: "martlet_segmentation_deadlines_put_off_total").increment()
        logger.log(
            level: attempts > 1 ? .error : .warning,
            "the deadline of a profile cannot be fired; it is tried again later",
            metadata: ["profile": "\(id)", "attempts": "\(attempts)", "error": "\(error)"])
        return 1
    }

    /// Whether it may be the fault of one profile, and not of the database.
    static func mayBeOfOne(_ error: any Error) -> Bool {
        switch error {
        case is CancellationError: false
        case let error as PostgresError: !error.isTransient
        default: !Task.isCancelled
        }
    }

    /// Fires the earliest of some shards, or of one profile, in one transaction. Whose state somebody else has locked is left
    /// to them: they have it fired by their fact, or come from another instance for it.
    private func fireTogether(
        _ shards: [Shard], of profile: ProfileID? = nil, from earliest: Instant, to now: Instant, limit: Int
    ) async throws -> Int {
        try await pool.transaction { transaction in
            let decider = try await registry.decider(in: transaction)
            let due = try await StateStore(transaction: transaction, registry: registry)
                .lockDue(in: shards, of: profile, from: earliest, upTo: now, limit: limit)
            guard let last = due.last else { return 0 }
            // A profile may have several deadlines by now. Those beyond the last row that was read wait, because the
            // deadlines of other profiles may lie before them.
            let horizon = due.count == Self.batch ? last.at : now
            var work = MembershipWork(
                decider: decider,
                states: Dictionary(due.map { ($0.id, $0.state) }, uniquingKeysWith: { $1 }), now: now,
                vault: registry.vault, in: transaction)
            try await work.refresh()
            try await work.hearOfAccounts()
            work.hearTheRest()
            for (id, _, _) in due { work.advance(id, to: horizon) }
            work.sortChanges()
            try await work.write()
            return due.count
        }
    }
}
