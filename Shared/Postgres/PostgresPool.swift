package import Logging
import Synchronization

/// A bounded set of connections. Callers that find none free wait in order, for `waitLimit` at most. Broken
/// connections are thrown away, so the pool works again as soon as PostgreSQL does.
package final class PostgresPool: PostgresSession {
    /// How the pool's sessions are set up.
    package let settings: PostgresSettings
    private let logger: Logger
    private let lending: Lending
    private let listener: PostgresListener

    package init(settings: PostgresSettings, logger: Logger) {
        self.settings = settings
        self.logger = logger
        lending = Lending(limit: max(1, settings.maxConnections), waitLimit: settings.waitLimit)
        listener = PostgresListener(settings: settings, logger: logger)
    }

    deinit { listener.close() }

    /// Runs a statement on a connection of its own and returns its rows.
    package func query(_ sql: SQL) async throws -> [PostgresRow] {
        try await withConnection { try await $0.query(sql) }
    }

    /// Runs a statement on a connection of its own and returns how many rows it touched.
    @discardableResult
    package func execute(_ sql: SQL) async throws -> Int {
        try await withConnection { try await $0.execute(sql) }
    }

    /// Lends a connection for the time of `body`.
    @discardableResult
    package func withConnection<T>(_ body: (PostgresConnection) async throws -> T) async throws -> T {
        // What has to be part of a commit is so also where a statement would have committed by itself.
        if CommitHook.beforeCommit != nil { return try await transaction { try await body($0.connection) } }
        return try await lend(body)
    }

    private func lend<T>(_ body: (PostgresConnection) async throws -> T) async throws -> T {
        let connection = try await acquire()
        defer { lending.giveBack(connection) }
        return try await body(connection)
    }

    /// Runs `body` in a transaction. Deadlocks and serialization failures (40P01, 40001) run it again, up to
    /// `retries` times, so it must have no effects outside the database. An error rolls back and is thrown.
    ///
    /// `.connectionLost` may come from COMMIT itself: then nobody here knows whether the transaction took effect, so
    /// what is tried again must be idempotent.
    @discardableResult
    package func transaction<T>(
        isolation: PostgresIsolation = .readCommitted, retries: Int = 5,
        _ body: (PostgresTransaction) async throws -> T
    ) async throws -> T {
        var attempt = 0
        while true {
            do {
                return try await lend { try await $0.transactionOnce(isolation: isolation, body) }
            } catch PostgresError.server(let error) where error.isRetryable && attempt < retries {
                attempt += 1
                logger.debug("transaction tried again", metadata: ["sqlState": "\(error.sqlState)"])
                // Random, so that the two that met don't meet again.
                let ceiling = 0.004 * Double(1 << min(attempt, 6))
                try await Task.sleep(for: .seconds(Double.random(in: 0.001...ceiling)))
            }
        }
    }

    /// Listens to channels on the pool's one listening connection (beyond `maxConnections`), which reconnects by
    /// itself. The stream yields `.reconnected` whenever listening has (re)started, the first time as well:
    /// notifications before it may have been missed, so look at the state itself. A listener that falls far behind
    /// loses the oldest notifications.
    package func listen(_ channels: [String]) -> AsyncStream<PostgresNotification> {
        listener.subscribe(channels)
    }

    /// Closes the idle connections now and the others when they come back; later calls throw `.connectionLost`.
    package func close() async {
        lending.close()
        listener.close()
    }

    private func acquire() async throws -> PostgresConnection {
        while true {
            switch try await lending.borrow() {
            case .connection(let connection):
                if connection.isAlive { return connection }
                lending.discardIdle()
                lending.giveBack(connection)
            case .permitToOpen:
                do {
                    return try await PostgresConnection.open(settings)
                } catch {
                    lending.failedToOpen()
                    throw error
                }
            }
        }
    }
}
