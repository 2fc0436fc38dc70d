import CPostgres
import Dispatch
import Glibc
import Logging
import Synchronization

/// What a listener hears.
package enum PostgresNotification: Sendable, Hashable {
    case message(channel: String, payload: String)
    /// Listening has started, or started again after the connection was lost.
    case reconnected
}

/// One connection that listens for everybody in the process, served by a thread that waits in poll().
final class PostgresListener: Sendable {
    private struct Subscriber {
        var channels: Set<String>
        var continuation: AsyncStream<PostgresNotification>.Continuation
        /// Whether it was told that listening has begun on this connection.
        var isStarted = false
    }

    private struct State {
        var subscribers: [UInt64: Subscriber] = [:]
        var nextID: UInt64 = 0
        var isThreadRunning = false
        var isClosed = false
    }

    private let settings: PostgresSettings
    private let logger: Logger
    private let state = Mutex(State())
    private let wakeUp = WakeUp()

    init(settings: PostgresSettings, logger: Logger) {
        self.settings = settings
        self.logger = logger
    }

    func subscribe(_ channels: [String]) -> AsyncStream<PostgresNotification> {
        let (stream, continuation) = AsyncStream.makeStream(
            of: PostgresNotification.self, bufferingPolicy: .bufferingNewest(1024))
        let (id, mustStart): (UInt64?, Bool) = state.withLock { state in
            if state.isClosed { return (nil, false) }
            state.nextID += 1
            state.subscribers[state.nextID] = Subscriber(channels: Set(channels), continuation: continuation)
            defer { state.isThreadRunning = true }
            return (state.nextID, !state.isThreadRunning)
        }
        guard let id else {
            continuation.finish()
            return stream
        }
        continuation.onTermination = { [weak self] _ in
            // The removed one is released after the lock: its end may come back here.
            _ = self?.state.withLock { $0.subscribers.removeValue(forKey: id) }
        }
        if mustStart {
            DispatchQueue(label: "martlet.postgres.listen").async { [self] in serve() }
        }
        wakeUp.signal()
        return stream
    }

    func close() {
        let subscribers = state.withLock { state in
            state.isClosed = true
            defer { state.subscribers = [:] }
            return state.subscribers
        }
        for subscriber in subscribers.values { subscriber.continuation.finish() }
        wakeUp.signal()
    }

    // MARK: - On the thread

    private var isClosed: Bool { state.withLock { $0.isClosed } }

    private func serve() {
        var backoff = 50  // milliseconds
        while !isClosed {
            do {
                let handle = try ConnectionHandle(settings)
                backoff = 50
                state.withLock { state in
                    for id in state.subscribers.keys { state.subscribers[id]?.isStarted = false }
                }
                try listen(on: handle)
            } catch {
                logger.debug("listening broke off", metadata: ["error": "\(error)"])
                wakeUp.wait(milliseconds: Int32(backoff))
                backoff = min(backoff * 2, 2000)
            }
        }
    }

    /// Delivers notifications until the connection breaks (throws) or the listener is closed (returns).
    private func listen(on handle: ConnectionHandle) throws(PostgresError) {
        var channels: Set<String> = []
        while true {
            let wanted = state.withLock { state in
                state.isClosed
                    ? nil : state.subscribers.values.reduce(into: Set()) { $0.formUnion($1.channels) }
            }
            guard let wanted else { return }
            for channel in wanted.subtracting(channels) {
                try execute("LISTEN \(SQL.quoted(name: channel))", on: handle)
            }
            channels.formUnion(wanted)
            announceStart(listeningTo: channels)
            deliver(from: handle)

            wakeUp.wait(milliseconds: -1, or: handle.socket)
            guard PQconsumeInput(handle.raw) == 1, PQstatus(handle.raw) == CONNECTION_OK else {
                throw .connectionLost(handle.lastError)
            }
        }
    }

    private func execute(_ text: String, on handle: ConnectionHandle) throws(PostgresError) {
        let result = PQexec(handle.raw, text)
        defer { PQclear(result) }
        guard PQresultStatus(result) == PGRES_COMMAND_OK else { throw .connectionLost(handle.lastError) }
    }

    private func announceStart(listeningTo channels: Set<String>) {
        // Told after the lock: a subscriber that is just being cancelled holds its task's own, and waits for ours to go.
        let started = state.withLock { state in
            var started: [AsyncStream<PostgresNotification>.Continuation] = []
            for (id, subscriber) in state.subscribers
            where !subscriber.isStarted && subscriber.channels.isSubset(of: channels) {
                state.subscribers[id]?.isStarted = true
                started.append(subscriber.continuation)
            }
            return started
        }
        for continuation in started { continuation.yield(.reconnected) }
    }

    private func deliver(from handle: ConnectionHandle) {
        while let raw = PQnotifies(handle.raw) {
            defer { PQfreemem(raw) }
            let channel = String(cString: raw.pointee.relname)
            let payload = raw.pointee.extra.map { String(cString: $0) } ?? ""
            let listening = state.withLock { state in
                state.subscribers.values.filter { $0.channels.contains(channel) }.map(\.continuation)
            }
            for continuation in listening {
                continuation.yield(.message(channel: channel, payload: payload))
            }
        }
    }
}

extension SQL {
    /// One name in quotes, dots and all.
    static func quoted(name: String) -> String {
        "\"" + name.replacing("\"", with: "\"\"") + "\""
    }
}

/// A pipe that ends a thread's poll().
private final class WakeUp: Sendable {
    private let reader: Int32
    private let writer: Int32

    init() {
        var ends: [Int32] = [-1, -1]
        pipe(&ends)
        for end in ends {
            _ = fcntl(end, F_SETFL, O_NONBLOCK)
            _ = fcntl(end, F_SETFD, FD_CLOEXEC)
        }
        (reader, writer) = (ends[0], ends[1])
    }

    deinit {
        Glibc.close(reader)
        Glibc.close(writer)
    }

    func signal() {
        var byte: UInt8 = 1
        // A full pipe wakes as well as one byte more would.
        _ = write(writer, &byte, 1)
    }

    /// Waits for a signal, for the socket to become readable, or for the time to pass (-1: for ever).
    func wait(milliseconds: Int32, or socket: Int32? = nil) {
        var descriptors = [pollfd(fd: reader, events: Int16(POLLIN), revents: 0)]
        if let socket { descriptors.append(pollfd(fd: socket, events: Int16(POLLIN), revents: 0)) }
        _ = poll(&descriptors, nfds_t(descriptors.count), milliseconds)
        var buffer = [UInt8](repeating: 0, count: 64)
        while read(reader, &buffer, buffer.count) > 0 {}
    }
}
