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
        var deadline: ContinuousClock.Instant
        var continuation: CheckedContinuation<Grant, any Error>
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
        /// Somebody looks after those who have waited for too long.
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
                enqueue(Waiter(id: id, deadline: .now + waitLimit, continuation: continuation))
            }
        } onCancel: {
            dismiss(id, throwing: CancellationError())
        }
    }

    /// Queues a waiter up, unless something became free meanwhile.
    private func enqueue(_ waiter: Waiter) {
        var isFirst = false
        let outcome: Result<Grant, any Error>? = state.withLock { state in
            if state.isClosed { return .failure(Self.closed) }
            if let error = state.dismissedEarly[waiter.id] { return .failure(error) }
            if state.waiters.isEmpty {
                if let connection = state.idle.popLast() { return .success(.connection(connection)) }
                if state.count < limit {
                    state.count += 1
                    return .success(.permitToOpen)
                }
            }
            state.waiters.append(waiter)
            isFirst = !state.isWatched
            state.isWatched = true
            return nil
        }
        if isFirst { watch() }
        if let outcome { waiter.continuation.resume(with: outcome) }
    }

    /// Sends away who has waited for too long. One timer does for all, because they come in order: under load most
    /// requests wait for a moment, and a timer for each would cost more than the statement.
    private func watch() {
        Task { [weak self] in
            while let deadline = self?.firstDeadline() {
                try? await Task.sleep(until: deadline, clock: .continuous)
                self?.dismissLate()
            }
        }
    }

    private func firstDeadline() -> ContinuousClock.Instant? {
        state.withLock { state in
            if let first = state.waiters.first { return first.deadline }
            state.isWatched = false
            return nil
        }
    }

    private func dismissLate() {
        let late: [Waiter] = state.withLock { state in
            let now = ContinuousClock.now
            let count = state.waiters.prefix { $0.deadline <= now }.count
            defer { state.waiters.removeFirst(count) }
            return Array(state.waiters.prefix(count))
        }
        for waiter in late { waiter.continuation.resume(throwing: PostgresError.poolExhausted) }
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
