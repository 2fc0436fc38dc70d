/// How much of other transactions' work a transaction may see (PostgreSQL documentation, 13.2).
package enum PostgresIsolation: String, Sendable {
    case readCommitted = "READ COMMITTED"
    case repeatableRead = "REPEATABLE READ"
    case serializable = "SERIALIZABLE"
}

/// A transaction that is open. It is good only inside the closure that was given it.
package struct PostgresTransaction: PostgresSession {
    /// The connection that the transaction runs on.
    package let connection: PostgresConnection

    /// Runs a statement and returns its rows.
    package func query(_ sql: SQL) async throws -> [PostgresRow] {
        try await connection.query(sql)
    }

    /// Runs a statement and returns how many rows it touched.
    @discardableResult
    package func execute(_ sql: SQL) async throws -> Int {
        try await connection.execute(sql)
    }

    /// Runs statements in one round trip and returns the rows of each.
    @discardableResult
    package func pipeline(_ statements: [SQL]) async throws -> [[PostgresRow]] {
        try await connection.pipeline(statements)
    }

    /// Runs the last statements of the transaction and COMMIT in one round trip, and returns the rows of each. When it
    /// returns, the transaction is committed; whatever is run in it afterwards is an error.
    @discardableResult
    package func commit(after statements: [SQL]) async throws -> [[PostgresRow]] {
        guard let hook = CommitHook.beforeCommit else {
            return try await connection.commit(after: statements)
        }
        let rows = try await pipeline(statements)
        try await hook.work(self)
        _ = try await connection.commit(after: [])
        return rows
    }

    /// Copies rows into a table (`schema.table`) and returns their number.
    @discardableResult
    package func copyIn(table: String, columns: [String], rows: CopyRows) async throws -> Int {
        try await connection.copyIn(table: table, columns: columns, rows: rows)
    }

    /// Copies rows into a table; each row has its values in the order of `columns`.
    @discardableResult
    package func copyIn(
        table: String, columns: [String], rows: [[any PostgresEncodable]]
    ) async throws -> Int {
        try await connection.copyIn(table: table, columns: columns, rows: rows)
    }

    /// Runs a script of several statements without parameters.
    package func script(_ text: String) async throws {
        try await connection.script(text)
    }

    /// Sends a notification with the commit.
    package func notify(_ channel: String, payload: String = "") async throws {
        try await connection.notify(channel, payload: payload)
    }

    /// Runs work that may fail without failing the transaction: what it did is undone, and its error is thrown.
    @discardableResult
    package func savepoint<T>(_ body: (PostgresTransaction) async throws -> T) async throws -> T {
        try await execute("SAVEPOINT martlet")
        do {
            let value = try await body(self)
            try await execute("RELEASE SAVEPOINT martlet")
            return value
        } catch {
            // A cancelled task must roll back as well.
            _ = try await connection.runControl("ROLLBACK TO SAVEPOINT martlet")
            _ = try await connection.runControl("RELEASE SAVEPOINT martlet")
            throw error
        }
    }
}

extension PostgresConnection {
    /// Runs `body` between BEGIN and COMMIT on this connection, once; an error rolls back.
    @discardableResult
    package nonisolated func transactionOnce<T>(
        isolation: PostgresIsolation = .readCommitted,
        _ body: (PostgresTransaction) async throws -> T
    ) async throws -> T {
        try Task.checkCancellation()
        control.block = .due("BEGIN ISOLATION LEVEL \(unsafe: isolation.rawValue)")
        defer { control.block = .none }
        let value: T
        do {
            value = try await body(PostgresTransaction(connection: self))
            if case .open = control.block, let hook = CommitHook.beforeCommit {
                try await hook.work(PostgresTransaction(connection: self))
            }
        } catch {
            if case .open = control.block, !control.isBroken { _ = try? await runControl("ROLLBACK") }
            throw error
        }
        if case .open = control.block { try Self.checkCommitted(try await runControl("COMMIT")) }
        return value
    }

    /// COMMIT of a transaction in which a statement failed and nobody threw rolls back, and says so in its tag.
    static func checkCommitted(_ result: PostgresResult) throws(PostgresError) {
        guard result.commandTag == "COMMIT" else {
            throw .server(
                PostgresServerError(
                    sqlState: "25P02", severity: "ERROR",
                    message: "the transaction was rolled back because one of its statements had failed"))
        }
    }
}
