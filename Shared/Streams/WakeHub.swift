package import Postgres
import ServiceLifecycle

/// Wakes waiting tasks when PostgreSQL signals one of a process's channels: one LISTEN connection for all of them.
///
/// Take a ticket, look at the state, then wait with the ticket: a signal between the two is not missed.
package actor WakeHub: Service {
    /// How often each channel had been signalled when the ticket was taken.
    package struct Ticket: Sendable {
        fileprivate let generations: [String: UInt64]
    }

    private struct Waiter {
        let channels: Set<String>
        let continuation: CheckedContinuation<Void, Never>
    }

    private let pool: PostgresPool
    private let channels: [String]
    private var generations: [String: UInt64] = [:]
    private var waiters: [UInt64: Waiter] = [:]
    private var cancelledEarly: Set<UInt64> = []
    private var nextWaiter: UInt64 = 0
    private var closed = false

    package init(pool: PostgresPool, channels: [String]) {
        self.pool = pool
        self.channels = channels
    }

    package func run() async throws {
        await cancelWhenGracefulShutdown {
            for await notification in self.pool.listen(self.channels) {
                switch notification {
                case .message(let channel, _): await self.signal(channel)
                // Signals may have been missed while the connection was away, so everybody looks again.
                case .reconnected: await self.signalAll()
                }
            }
        }
        close()
    }

    /// Wakes everybody who waits on the channel; also called in-process by tests.
    package func signal(_ channel: String) {
        generations[channel, default: 0] += 1
        for (id, waiter) in waiters where waiter.channels.contains(channel) { wake(id) }
    }

    /// The state of the channels now, to be taken before looking at what they announce.
    package func ticket(_ channels: [String]) -> Ticket {
        Ticket(generations: Dictionary(uniqueKeysWithValues: channels.map { ($0, generations[$0] ?? 0) }))
    }

    /// Returns when one of the ticket's channels was signalled since, when the time is up, or on cancellation.
    package func wait(_ ticket: Ticket, upTo limit: Duration) async {
        guard !closed, limit > .zero,
            ticket.generations.allSatisfy({ (generations[$0.key] ?? 0) == $0.value })
        else { return }
        let id = nextWaiter
        nextWaiter += 1
        let timeout = Task { [weak self] in
            try? await Task.sleep(for: limit)
            await self?.wake(id)
        }
        await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                if cancelledEarly.remove(id) != nil || Task.isCancelled {
                    continuation.resume()
                } else {
                    waiters[id] = Waiter(channels: Set(ticket.generations.keys), continuation: continuation)
                }
            }
        } onCancel: {
            Task { await self.cancelled(id) }
        }
        timeout.cancel()
        cancelledEarly.remove(id)
    }

    private func cancelled(_ id: UInt64) {
        if waiters[id] == nil { cancelledEarly.insert(id) } else { wake(id) }
        // A waiter that is gone already leaves its number behind; they are small and this bounds them.
        if cancelledEarly.count > 1_000 { cancelledEarly.removeAll() }
    }

    private func wake(_ id: UInt64) {
        waiters.removeValue(forKey: id)?.continuation.resume()
    }

    private func signalAll() {
        for channel in channels { signal(channel) }
    }

    private func close() {
        closed = true
        for id in waiters.keys { wake(id) }
    }
}
