import Synchronization

/// The pool's bookkeeping: who may have which connection, and who waits.
final class Lending: Sendable {
    enum Grant: Sendable {
        case connection(PostgresConnection)
        /// The caller opens a connection itself, and says how that went.
        case permitToOpen
    }

    private struct Waiter {
        var id: UInt64
        var continuation: CheckedContinuation<Grant, any Error>
        /// When it has waited for as long as one may.
        var until: ContinuousClock.Instant
    }

    private struct State {
        var idle: [PostgresConnection] = []
        /// Connections that are lent, idle, or being opened.
        var count = 0
        /// In order of arrival.
        var waiters: [Waiter] = []
        var nextID: UInt64 = 0
        /// Waiters that were dismissed before they had queued up.
        var dismissedEarly: [UInt64: any Error] = [:]
        var isClosed = false
        /// Whether somebody looks after those who wait too long.
        var isWatched = false
    }

    private let limit: Int
    private let waitLimit: Duration
    private let state = Mutex(State())

    init(limit: Int, waitLimit: Duration) {
        self.limit = limit
        self.waitLimit = waitLimit
    }

    private static let closed = PostgresError.connectionLost("the pool is closed")

    func borrow() async throws -> Grant {
        try Task.checkCancellation()
        let (grant, id): (Grant?, UInt64) = try state.withLock { state in
            if state.isClosed { throw Self.closed }
            if let connection = state.idle.popLast() { return (.connection(connection), 0) }
            if state.count < limit {
                state.count += 1
                return (.permitToOpen, 0)
            }
            state.nextID += 1
            return (nil, state.nextID)
        }
        if let grant { return grant }

        defer { state.withLock { $0.dismissedEarly[id] = nil } }
        return try await withTaskCancellationHandler {
            try await withCheckedThrowingContinuation { continuation in
                enqueue(Waiter(id: id, continuation: continuation, until: .now + waitLimit))
            }
        } onCancel: {
            dismiss(id, throwing: CancellationError())
        }
    }

    /// Queues a waiter up, unless something became free meanwhile.
    private func enqueue(_ waiter: Waiter) {
        let (outcome, needsWatch): (Result<Grant, any Error>?, Bool) = state.withLock { state in
            if state.isClosed { return (.failure(Self.closed), false) }
            if let error = state.dismissedEarly[waiter.id] { return (.failure(error), false) }
            if state.waiters.isEmpty {
                if let connection = state.idle.popLast() { return (.success(.connection(connection)), false) }
                if state.count < limit {
                    state.count += 1
                    return (.success(.permitToOpen), false)
                }
            }
            state.waiters.append(waiter)
            defer { state.isWatched = true }
            return (nil, !state.isWatched)
        }
        if let outcome { waiter.continuation.resume(with: outcome) }
        if needsWatch { watch() }
    }

    /// One timer for all: a task and a timer for each of those who wait, thousands a second when the pool is busy,
    /// cost more than the waiting. It ends when nobody has waited for as long as one may.
    private func watch() {
        Task {
            while let next = dismissLate() { try? await Task.sleep(until: next, clock: .continuous) }
        }
    }

    /// Sends away those who have waited too long, and says when to look again; nil when nobody waits.
    private func dismissLate() -> ContinuousClock.Instant? {
        let now = ContinuousClock.now
        let (late, next): (ArraySlice<Waiter>, ContinuousClock.Instant?) = state.withLock { state in
            // All wait equally long, so the first to come is the first whose time is up.
            let late = state.waiters.prefix { $0.until <= now }
            state.waiters.removeFirst(late.count)
            state.isWatched = !state.waiters.isEmpty
            return (late, state.waiters.first?.until)
        }
        for waiter in late { waiter.continuation.resume(throwing: PostgresError.poolExhausted) }
        return next
    }

    private func dismiss(_ id: UInt64, throwing error: any Error) {
        let waiter: Waiter? = state.withLock { state in
            if let index = state.waiters.firstIndex(where: { $0.id == id }) {
                return state.waiters.remove(at: index)
            }
            state.dismissedEarly[id] = error
            return nil
        }
        waiter?.continuation.resume(throwing: error)
    }

    func giveBack(_ connection: PostgresConnection) {
        let isReusable = connection.control.isReusable
        let next: (Waiter, Grant)? = state.withLock { state in
            if !isReusable || state.isClosed {
                return Self.releaseSlot(&state)
            }
            if state.waiters.isEmpty {
                state.idle.append(connection)
                return nil
            }
            return (state.waiters.removeFirst(), .connection(connection))
        }
        if let (waiter, grant) = next { waiter.continuation.resume(returning: grant) }
    }

    func failedToOpen() {
        let next: (Waiter, Grant)? = state.withLock { Self.releaseSlot(&$0) }
        if let (waiter, grant) = next { waiter.continuation.resume(returning: grant) }
    }

    /// Forgets all idle connections: where one is dead, the server has usually gone away from all.
    func discardIdle() {
        let dropped: [PostgresConnection] = state.withLock { state in
            defer { state.idle = [] }
            state.count -= state.idle.count
            return state.idle
        }
        _ = dropped
    }

    func close() {
        let (waiters, dropped): ([Waiter], [PostgresConnection]) = state.withLock { state in
            state.isClosed = true
            defer {
                state.waiters = []
                state.idle = []
            }
            state.count -= state.idle.count
            return (state.waiters, state.idle)
        }
        _ = dropped
        for waiter in waiters { waiter.continuation.resume(throwing: Self.closed) }
    }

    /// One connection less; the first waiter may open another in its place.
    private static func releaseSlot(_ state: inout State) -> (Waiter, Grant)? {
        if state.waiters.isEmpty {
            state.count -= 1
            return nil
        }
        return (state.waiters.removeFirst(), .permitToOpen)
    }
}
