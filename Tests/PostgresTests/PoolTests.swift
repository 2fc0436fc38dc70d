import Logging
import Models
import Postgres
import Synchronization
import TestSupport
import Testing

@Suite("Pool", .enabled(if: TestDatabase.isAvailable, Comment(rawValue: TestDatabase.howToEnable)))
struct PoolTests {
    private func pool(
        _ database: TestDatabase, maxConnections: Int, waitLimit: Duration = .seconds(30)
    ) -> PostgresPool {
        var settings = database.settings()
        settings.maxConnections = maxConnections
        settings.waitLimit = waitLimit
        return PostgresPool(settings: settings, logger: Logger(label: "test"))
    }

    @Test("a pool never opens more than its bound, and everybody has a turn")
    func bound() async throws {
        let database = try await TestDatabase.make()
        let pool = pool(database, maxConnections: 3)
        let pids = try await withThrowingTaskGroup { group in
            for _ in 0..<60 {
                group.addTask {
                    try await pool.query("SELECT pg_backend_pid() AS pid, pg_sleep(0.002)")[0].get(
                        "pid", as: Int.self)
                }
            }
            return try await group.reduce(into: Set<Int>()) { $0.insert($1) }
        }
        #expect((1...3).contains(pids.count))
        await pool.close()
    }

    @Test("who waits longer than the limit is told that the pool is exhausted")
    func exhaustion() async throws {
        let database = try await TestDatabase.make()
        let pool = pool(database, maxConnections: 1, waitLimit: .milliseconds(30))
        try await pool.withConnection { _ in
            do {
                try await pool.execute("SELECT 1")
                Issue.record("there was a second connection")
            } catch PostgresError.poolExhausted {}
        }
        try await pool.execute("SELECT 1")
        await pool.close()
    }

    @Test("a waiter that is cancelled leaves the queue, and the next one is served")
    func cancelledWaiter() async throws {
        let database = try await TestDatabase.make()
        let pool = pool(database, maxConnections: 1)
        let next: Task<Int, any Error> = try await pool.withConnection { _ in
            let waiter = Task { try await pool.execute("SELECT 1") }
            waiter.cancel()
            await #expect(throws: CancellationError.self) { try await waiter.value }
            return Task { try await pool.execute("SELECT 1") }
        }
        #expect(try await next.value == 1)
        await pool.close()
    }

    @Test("cancelling a task stops its statement on the server")
    func cancelledStatement() async throws {
        let database = try await TestDatabase.make()
        let pool = pool(database, maxConnections: 2)
        let (started, signal) = AsyncStream.makeStream(of: Int.self)
        let sleeper = Task {
            try await pool.withConnection { connection in
                signal.yield(try await connection.query("SELECT pg_backend_pid() AS pid")[0].get("pid"))
                try await connection.execute("SELECT pg_sleep(600)")
            }
        }
        for await pid in started {
            // The statement has surely begun once the server shows it.
            while try await pool.query(
                "SELECT FROM pg_stat_activity WHERE pid = \(pid) AND query LIKE '%600%' AND state = 'active'"
            ).isEmpty {}
            break
        }
        sleeper.cancel()
        await #expect(throws: CancellationError.self) { try await sleeper.value }
        try await pool.execute("SELECT 1")
        await pool.close()
    }

    @Test("a statement that is too slow ends with a timeout")
    func statementTimeout() async throws {
        let database = try await TestDatabase.make()
        var settings = database.settings()
        settings.statementTimeout = .milliseconds(50)
        let pool = PostgresPool(settings: settings, logger: Logger(label: "test"))
        do {
            try await pool.execute("SELECT pg_sleep(60)")
            Issue.record("it slept for a minute")
        } catch PostgresError.timeout {}
        try await pool.execute("SELECT 1")
        await pool.close()
    }

    @Test(
        "who waits too long for a lock hears that it may go better later, before the statement counts as too slow"
    )
    func lockWait() async throws {
        let database = try await TestDatabase.make()
        var settings = database.settings()
        settings.statementTimeout = .milliseconds(400)
        let pool = PostgresPool(settings: settings, logger: Logger(label: "test"))
        let holder = self.pool(database, maxConnections: 1)
        try await holder.transaction { transaction in
            _ = try await transaction.query("SELECT pg_advisory_xact_lock(1)")
            do {
                try await pool.execute("SELECT pg_advisory_xact_lock(1)")
                Issue.record("two hold the same lock")
            } catch let error as PostgresError {
                #expect(error.isTransient, "\(error)")
                #expect(error.sqlState == "55P03")
            }
        }
        await pool.close()
        await holder.close()
    }

    @Test("after the server ends all sessions, one call fails at most and the pool goes on")
    func recovery() async throws {
        let database = try await TestDatabase.make()
        let pool = pool(database, maxConnections: 4)
        try await withThrowingTaskGroup { group in
            for _ in 0..<4 { group.addTask { try await pool.execute("SELECT pg_sleep(0.05)") } }
            try await group.waitForAll()
        }
        try await Self.endSessions(of: database)
        // Idle connections that died are noticed before they are lent.
        for _ in 0..<8 { try await pool.execute("SELECT 1") }

        // One that dies in the middle of a statement is a typed error.
        let (started, signal) = AsyncStream.makeStream(of: Void.self)
        let sleeper = Task {
            try await pool.transaction { transaction in
                try await transaction.execute("SELECT 1")
                signal.yield()
                try await transaction.execute("SELECT pg_sleep(600)")
            }
        }
        for await _ in started { break }
        try await Self.endSessions(of: database)
        do {
            try await sleeper.value
            Issue.record("the statement survived")
        } catch let error as PostgresError {
            guard case .connectionLost = error else { throw error }
            #expect(error.isTransient)
        }
        try await pool.execute("SELECT 1")
        await pool.close()
    }

    static func endSessions(of database: TestDatabase) async throws {
        let other = try await PostgresConnection.open(database.settings())
        try await other.execute(
            """
            SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity
            WHERE datname = \(database.name) AND pid <> pg_backend_pid()
            """)
    }

    @Test("no server at all is a lost connection, for each caller at once")
    func nobodyThere() async throws {
        let settings = try PostgresSettings(url: "postgres://nobody:secret@127.0.0.1:1/nothing")
        let pool = PostgresPool(settings: settings, logger: Logger(label: "test"))
        for _ in 0..<20 {
            do {
                try await pool.execute("SELECT 1")
                Issue.record("somebody answered")
            } catch let error as PostgresError {
                guard case .connectionLost = error else { throw error }
                #expect(!"\(error)".contains("secret"))
            }
        }
    }

    @Test("a broken URL is refused without quoting it")
    func brokenURL() {
        #expect(throws: PostgresSettingsError.self) {
            try PostgresSettings(url: "postgres://a:b@[::1/secret")
        }
    }

    @Test("a closed pool says so")
    func closed() async throws {
        let database = try await TestDatabase.make()
        let pool = pool(database, maxConnections: 1)
        try await pool.execute("SELECT 1")
        await pool.close()
        await #expect(throws: PostgresError.self) { try await pool.execute("SELECT 1") }
    }

    @Test("more distinct statements than are kept prepared do no harm")
    func manyStatements() async throws {
        let database = try await TestDatabase.make()
        let pool = pool(database, maxConnections: 1)
        for number in 0..<450 {
            let row = try await pool.query("SELECT \(unsafe: String(number)) AS n")[0]
            #expect(try row.get("n", as: Int.self) == number)
        }
        let kept = try await pool.query("SELECT count(*) AS n FROM pg_prepared_statements")[0].get(
            "n", as: Int.self)
        #expect(kept <= 201)
        await pool.close()
    }

    @Test("a statement that was prepared before its table changed is prepared again")
    func changedTable() async throws {
        let database = try await TestDatabase.make()
        let (pool, other) = (pool(database, maxConnections: 1), pool(database, maxConnections: 1))
        try await other.execute("CREATE TABLE t (a int)")
        _ = try await pool.query("SELECT * FROM t")
        try await other.execute("ALTER TABLE t ADD COLUMN b int")
        let count = try await pool.transaction { try await $0.query("SELECT * FROM t") }.count
        #expect(count == 0)
        await pool.close()
        await other.close()
    }
}
