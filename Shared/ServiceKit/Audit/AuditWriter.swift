import Models
import Postgres
import Synchronization

/// Writes entries of those who wait for them, many in one transaction: while one commits, the next ones gather.
final class AuditWriter: Sendable {
    private typealias Waiting = (entry: AuditEntry, continuation: CheckedContinuation<Void, any Error>)

    private struct State {
        var queue: [Waiting] = []
        var isWriting = false
    }

    /// Entries in one transaction.
    private static let group = 500
    /// More than these don't wait: 503.
    private static let capacity = 10_000

    private let store: AuditStore
    private let pool: PostgresPool
    private let clock: ServiceClock
    private let state = Mutex(State())

    init(_ log: AuditLog, pool: PostgresPool, clock: ServiceClock) {
        (store, self.pool, self.clock) = (AuditStore(log), pool, clock)
    }

    /// Returns once it is on disk.
    func write(_ entry: AuditEntry) async throws {
        try await withCheckedThrowingContinuation { continuation in
            let (isTaken, starts) = state.withLock { state in
                guard state.queue.count < Self.capacity else { return (false, false) }
                state.queue.append((entry, continuation))
                defer { state.isWriting = true }
                return (true, !state.isWriting)
            }
            if !isTaken {
                continuation.resume(
                    throwing: Problem.unavailable("more is read than can be recorded; try again"))
            }
            // Not a part of the request that happens to be the first.
            if starts { Task.detached { await self.writeAll() } }
        }
    }

    private func writeAll() async {
        while true {
            let group = state.withLock { state in
                let group = Array(state.queue.prefix(Self.group))
                state.queue.removeFirst(group.count)
                if group.isEmpty { state.isWriting = false }
                return group
            }
            if group.isEmpty { return }
            do {
                let now = try await clock.now()
                try await pool.transaction {
                    try await store.append(group.map(\.entry), at: now, in: $0)
                }
                for waiting in group { waiting.continuation.resume() }
            } catch {
                for waiting in group { waiting.continuation.resume(throwing: error) }
            }
        }
    }
}
