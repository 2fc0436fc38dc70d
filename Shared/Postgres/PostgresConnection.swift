import CPostgres
import Glibc

/// What statements run on: a pool (each on its own), a connection, or a transaction.
package protocol PostgresSession: Sendable {
    /// Runs a statement and returns its rows.
    func query(_ sql: SQL) async throws -> [PostgresRow]
    /// Runs a statement and returns how many rows it touched.
    @discardableResult
    func execute(_ sql: SQL) async throws -> Int
}

/// One connection: an actor on a thread of its own while libpq blocks. Statements are prepared once per connection
/// and distinct text.
package actor PostgresConnection: PostgresSession {
    private static let statementLimit = 200

    /// What is prepared once: the text, and the types of parameters that are not text.
    struct Statement: Hashable {
        var text: String
        var types: [UInt32]
    }

    struct Prepared {
        var name: String
        var lastUse: UInt64
    }

    private let executor: ConnectionExecutor
    nonisolated let handle: ConnectionHandle
    nonisolated let control: ConnectionControl
    var statements: [Statement: Prepared] = [:]
    var uses: UInt64 = 0

    package nonisolated var unownedExecutor: UnownedSerialExecutor {
        executor.asUnownedSerialExecutor()
    }

    private init(executor: ConnectionExecutor, handle: ConnectionHandle) {
        self.executor = executor
        self.handle = handle
        control = ConnectionControl(handle)
    }

    /// Connects. Most callers want a pool instead.
    package static func open(_ settings: PostgresSettings) async throws -> PostgresConnection {
        let executor = ConnectionExecutor()
        let handle = try await executor.run { try ConnectionHandle(settings) }
        return PostgresConnection(executor: executor, handle: handle)
    }

    /// Connects, runs a script and disconnects, on this thread, which it blocks: for where nothing can be awaited.
    package static func runBlocking(_ text: String, settings: PostgresSettings) throws(PostgresError) {
        let handle = try ConnectionHandle(settings)
        let result = PostgresResult(try handle.execute(text))
        switch PQresultStatus(result.raw) {
        case PGRES_COMMAND_OK, PGRES_TUPLES_OK: return
        default: throw .server(PostgresServerError(result.raw))
        }
    }

    /// Runs a statement and returns its rows. Cancelling the task cancels the statement on the server.
    package nonisolated func query(_ sql: SQL) async throws -> [PostgresRow] {
        try await cancellable { try await self.run(sql) }.rows
    }

    /// Runs a statement and returns how many rows it touched.
    @discardableResult
    package nonisolated func execute(_ sql: SQL) async throws -> Int {
        try await cancellable { try await self.run(sql) }.affected
    }

    /// Runs statements in one round trip and returns the rows of each. Outside a transaction they are one by
    /// themselves: if one fails, none takes effect, and its error is thrown.
    @discardableResult
    package nonisolated func pipeline(_ statements: [SQL]) async throws -> [[PostgresRow]] {
        if statements.isEmpty { return [] }
        return try await cancellable { try await self.runPipeline(statements) }.map(\.rows)
    }

    nonisolated func commit(after statements: [SQL]) async throws -> [[PostgresRow]] {
        try await cancellable { try await self.runAndCommit(statements) }.map(\.rows)
    }

    /// Runs a script of several statements without parameters, as one transaction unless it says otherwise.
    package nonisolated func script(_ text: String) async throws {
        try await cancellable { try await self.runScript(text) }
    }

    /// Sends a notification to listeners of `channel`; inside a transaction it goes out with the commit.
    package nonisolated func notify(_ channel: String, payload: String = "") async throws {
        try await execute("SELECT pg_notify(\(channel), \(payload))")
    }

    /// Runs work that the task's cancellation turns into a cancel request to the server.
    nonisolated func cancellable<T: Sendable>(_ work: () async throws -> T) async throws -> T {
        try Task.checkCancellation()
        return try await withTaskCancellationHandler {
            try await work()
        } onCancel: {
            control.cancel()
        }
    }

    /// Whether the connection is good for another caller. A server says nothing to an idle session unless it ends
    /// it or its settings were reloaded; both are reason enough for a new one.
    nonisolated var isAlive: Bool {
        if control.isBroken { return false }
        var descriptor = pollfd(fd: handle.socket, events: Int16(POLLIN), revents: 0)
        if poll(&descriptor, 1, 0) == 0 { return true }
        control.markBroken()
        return false
    }

    // MARK: - On the executor

    /// BEGIN, COMMIT and ROLLBACK, which a cancelled task must run as well.
    func runControl(_ sql: SQL) throws -> PostgresResult {
        try tracked(isCancellable: false) { try execute(prepared: sql) }
    }

    func run(_ sql: SQL) throws -> PostgresResult {
        guard let begin = try takeBegin() else { return try tracked { try execute(prepared: sql) } }
        guard let result = try pipelined([begin, sql]).last else {
            throw PostgresError.connectionLost("a pipeline ended early")
        }
        return result
    }

    private func runScript(_ text: String) throws {
        guard !text.utf8.contains(0) else { throw PostgresError.unencodable("a script holds a NUL byte") }
        try beginIfDue()
        try tracked { _ = try checked(PQexec(handle.raw, text)) }
    }

    /// Begins the transaction by itself: for what cannot travel in a pipeline.
    func beginIfDue() throws {
        guard let begin = try takeBegin() else { return }
        _ = try tracked { try execute(prepared: begin) }
    }

    /// The BEGIN that is due, which the caller is to send before anything else.
    func takeBegin() throws -> SQL? {
        switch control.block {
        case .none, .open: return nil
        case .due(let begin):
            control.block = .open
            return begin
        case .committed: throw PostgresError.unencodable("the transaction is committed already")
        }
    }

    /// Brackets libpq work: a cancel request reaches it and nothing else, and its end records the connection's state.
    func tracked<T>(isCancellable: Bool = true, _ work: () throws -> T) throws -> T {
        if control.isBroken { throw PostgresError.connectionLost("it was broken before") }
        if isCancellable {
            control.begin()
            // A cancellation that came before `begin` found nothing to cancel.
            if Task.isCancelled {
                _ = control.end(isBroken: false, isIdle: PQtransactionStatus(handle.raw) == PQTRANS_IDLE)
                throw CancellationError()
            }
        }
        let outcome = Result(catching: work)
        let wasCancelled = control.end(
            isBroken: PQstatus(handle.raw) != CONNECTION_OK,
            isIdle: PQtransactionStatus(handle.raw) == PQTRANS_IDLE)
        switch outcome {
        case .success(let value):
            // The server may still deliver the cancel request to whatever runs next.
            if wasCancelled { control.markBroken() }
            trimStatements()
            return value
        case .failure(PostgresError.server(let error)) where error.sqlState == "57014":
            if wasCancelled { throw CancellationError() }
            throw PostgresError.timeout
        case .failure(let error):
            if wasCancelled { control.markBroken() }
            if case PostgresError.server(let server) = error, server.needsNewPlan { forgetStatements() }
            throw error
        }
    }

    private func execute(prepared sql: SQL) throws -> PostgresResult {
        let (text, parameters) = sql.rendered()
        let values = try ParameterBuffer(parameters)
        let name = try prepare(text, types: values.types)
        return try checked(
            values.withPointers { PQexecPrepared(handle.raw, name, values.count, $0, $1, $2, 0) })
    }

    private func prepare(_ text: String, types: [UInt32]) throws -> String {
        uses += 1
        let statement = Statement(text: text, types: types)
        if let name = statements[statement]?.name {
            statements[statement]?.lastUse = uses
            return name
        }
        guard !text.utf8.contains(0) else { throw PostgresError.unencodable("a statement holds a NUL byte") }
        let name = "s\(uses)"
        _ = try checked(PQprepare(handle.raw, name, text, Int32(types.count), types))
        statements[statement] = Prepared(name: name, lastUse: uses)
        return name
    }

    /// Drops the statements that were not used for longest, when there are too many.
    private func trimStatements() {
        while statements.count > Self.statementLimit,
            let oldest = statements.min(by: { $0.value.lastUse < $1.value.lastUse })
        {
            guard PQtransactionStatus(handle.raw) != PQTRANS_INERROR else { return }
            PQclear(PQexec(handle.raw, "DEALLOCATE \(oldest.value.name)"))
            statements[oldest.key] = nil
        }
    }

    private func forgetStatements() {
        statements = [:]
        if PQtransactionStatus(handle.raw) == PQTRANS_IDLE { PQclear(PQexec(handle.raw, "DEALLOCATE ALL")) }
    }

    /// Turns an error result into a typed error.
    func checked(_ raw: OpaquePointer?) throws(PostgresError) -> PostgresResult {
        guard let raw else { throw .connectionLost(handle.lastError) }
        let result = PostgresResult(raw)
        if let error = failure(of: result) { throw error }
        return result
    }

    func failure(of result: PostgresResult) -> PostgresError? {
        switch PQresultStatus(result.raw) {
        case PGRES_COMMAND_OK, PGRES_TUPLES_OK, PGRES_COPY_IN, PGRES_PIPELINE_SYNC, PGRES_EMPTY_QUERY:
            return nil
        default: break
        }
        let error = PostgresServerError(result.raw)
        if PQstatus(handle.raw) != CONNECTION_OK || error.sqlState.isEmpty {
            return .connectionLost(error.message.isEmpty ? handle.lastError : error.message.firstLine)
        }
        return .server(error)
    }
}

extension PostgresServerError {
    init(_ raw: OpaquePointer) {
        func field(_ code: Int32) -> String? {
            PQresultErrorField(raw, code).map { String(cString: $0) }
        }
        // The codes are C macros over character constants (PG_DIAG_SQLSTATE 'C', …).
        func field(_ code: Character) -> String? { field(Int32(code.asciiValue ?? 0)) }
        self.init(
            sqlState: field("C") ?? "", severity: field("V") ?? "", message: field("M") ?? "",
            detail: field("D"), hint: field("H"), constraint: field("n"), schema: field("s"),
            table: field("t"), column: field("c"), position: field("P").flatMap { Int($0) },
            sourceFunction: field("R"))
    }
}
