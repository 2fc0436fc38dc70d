import CPostgres
import Dispatch
import Synchronization

/// A connected `PGconn`. Only `ConnectionControl.cancel` and the connection's executor touch it.
final class ConnectionHandle: @unchecked Sendable {
    let raw: OpaquePointer
    let socket: Int32

    /// Connects; blocks.
    init(_ settings: PostgresSettings) throws(PostgresError) {
        let parameters = settings.connectionParameters
        let keywords = CStringList(parameters.map(\.keyword))
        let values = CStringList(parameters.map(\.value))
        guard let raw = PQconnectdbParams(keywords.pointers, values.pointers, 0) else {
            throw .connectionLost("out of memory")
        }
        guard PQstatus(raw) == CONNECTION_OK else {
            let reason = String(cString: PQerrorMessage(raw)).firstLine
            PQfinish(raw)
            throw .connectionLost(reason)
        }
        // Notices may quote row data; nothing here needs them.
        PQsetNoticeReceiver(raw, { _, _ in }, nil)
        self.raw = raw
        self.socket = PQsocket(raw)
    }

    deinit { PQfinish(raw) }

    /// Runs a script without parameters; blocks.
    func execute(_ text: String) throws(PostgresError) -> OpaquePointer {
        guard let result = PQexec(raw, text) else { throw .connectionLost(lastError) }
        return result
    }

    var lastError: String { String(cString: PQerrorMessage(raw)).firstLine }
}

/// A NULL-terminated list of C strings, as libpq's parameter lists want it.
private final class CStringList {
    let pointers: [UnsafePointer<CChar>?]

    init(_ strings: [String]) {
        pointers =
            strings.map { string in
                let bytes = Array(string.utf8CString)
                let copy = UnsafeMutablePointer<CChar>.allocate(capacity: bytes.count)
                copy.initialize(from: bytes, count: bytes.count)
                return UnsafePointer(copy)
            } + [nil]
    }

    deinit { for case .some(let pointer) in pointers { pointer.deallocate() } }
}

extension String {
    var firstLine: String {
        String(split(separator: "\n", maxSplits: 1).first ?? "")
    }
}

/// BEGIN waits for the first statement and travels with it, which saves a round trip.
enum TransactionBlock: Sendable {
    case none
    case due(SQL)
    case open
    /// COMMIT went along with the last statements.
    case committed
}

/// What is known about a connection outside its executor: whether it may be used again, and whether a statement is
/// running that could be cancelled.
final class ConnectionControl: Sendable {
    private struct State {
        var isRunning = false
        var generation: UInt64 = 0
        var cancelSent = false
        var isBroken = false
        var isIdle = true
        var block = TransactionBlock.none
    }

    private let state = Mutex(State())
    private let handle: ConnectionHandle

    init(_ handle: ConnectionHandle) {
        self.handle = handle
    }

    /// Whether the pool may lend the connection again.
    var isReusable: Bool {
        state.withLock { !$0.isBroken && $0.isIdle && !$0.isRunning }
    }

    var isBroken: Bool { state.withLock { $0.isBroken } }

    /// How far the transaction that a caller has open got.
    var block: TransactionBlock {
        get { state.withLock { $0.block } }
        set { state.withLock { $0.block = newValue } }
    }

    func markBroken() { state.withLock { $0.isBroken = true } }

    func begin() {
        state.withLock {
            $0.isRunning = true
            $0.generation &+= 1
            $0.cancelSent = false
        }
    }

    /// Ends a statement. Returns whether a cancel request was sent for it.
    func end(isBroken: Bool, isIdle: Bool) -> Bool {
        state.withLock {
            $0.isRunning = false
            $0.isIdle = isIdle
            if isBroken { $0.isBroken = true }
            return $0.cancelSent
        }
    }

    /// Asks the server to stop the running statement, if there is one. The request is a connection of its own, so it
    /// is made on another thread; `end` waits for it, so that it cannot hit the next statement.
    func cancel() {
        let running: UInt64? = state.withLock { $0.isRunning ? $0.generation : nil }
        guard let running else { return }
        DispatchQueue.global().async {
            self.state.withLock { state in
                guard state.isRunning, state.generation == running, !state.cancelSent else { return }
                guard let request = PQgetCancel(self.handle.raw) else { return }
                defer { PQfreeCancel(request) }
                var message = [CChar](repeating: 0, count: 256)
                state.cancelSent = PQcancel(request, &message, Int32(message.count)) == 1
            }
        }
    }
}
