import Logging
import Models
import Postgres
import Synchronization
import TestSupport
import Testing

@Suite("Transactions", .enabled(if: TestDatabase.isAvailable, Comment(rawValue: TestDatabase.howToEnable)))
struct TransactionTests {
    private struct Refusal: Error {}

    private func fixture() async throws -> (database: TestDatabase, pool: PostgresPool) {
        let database = try await TestDatabase.make()
        let pool = database.pool()
        try await pool.execute("CREATE TABLE t (id int PRIMARY KEY, n int NOT NULL)")
        try await pool.execute("INSERT INTO t VALUES (1, 0), (2, 0)")
        return (database, pool)
    }

    private func sum(_ pool: PostgresPool) async throws -> Int {
        try await pool.query("SELECT sum(n) AS n FROM t")[0].get("n")
    }

    @Test("what throws leaves nothing behind")
    func rollback() async throws {
        let (database, pool) = try await fixture()
        await #expect(throws: Refusal.self) {
            try await pool.transaction { transaction in
                try await transaction.execute("UPDATE t SET n = 5")
                throw Refusal()
            }
        }
        #expect(try await sum(pool) == 0)
        await pool.close()
        withExtendedLifetime(database) {}
    }

    @Test("a transaction whose failed statement was swallowed doesn't pass for committed")
    func swallowed() async throws {
        let (database, pool) = try await fixture()
        do {
            try await pool.transaction { transaction in
                try await transaction.execute("UPDATE t SET n = 5")
                _ = try? await transaction.execute("SELECT 1/0")
            }
            Issue.record("it passed for committed")
        } catch let error as PostgresError {
            #expect(error.sqlState == "25P02")
        }
        #expect(try await sum(pool) == 0)
        await pool.close()
        withExtendedLifetime(database) {}
    }

    @Test("the last statements and COMMIT go in one round trip, all or nothing")
    func committing() async throws {
        let (database, pool) = try await fixture()
        let rows = try await pool.transaction { transaction in
            try await transaction.execute("UPDATE t SET n = 1 WHERE id = 1")
            return try await transaction.commit(after: [
                "UPDATE t SET n = 2 WHERE id = 2", "SELECT n FROM t ORDER BY id",
            ])
        }
        let seen = try rows[1].map { try $0.get("n", as: Int.self) }
        #expect(seen == [1, 2])
        await #expect(throws: PostgresError.self) {
            try await pool.transaction { transaction in
                try await transaction.execute("UPDATE t SET n = 50 WHERE id = 1")
                try await transaction.commit(after: ["UPDATE t SET n = 50 WHERE id = 2", "SELECT 1/0"])
            }
        }
        // As the first statements of all, and with none.
        try await pool.transaction { try await $0.commit(after: ["UPDATE t SET n = 3 WHERE id = 2"]) }
        try await pool.transaction { try await $0.commit(after: []) }
        try await pool.transaction { _ in }
        #expect(try await sum(pool) == 4)
        await pool.close()
        withExtendedLifetime(database) {}
    }

    @Test("nothing can be done in a transaction that is committed already")
    func afterCommit() async throws {
        let (database, pool) = try await fixture()
        await #expect(throws: PostgresError.self) {
            try await pool.transaction { transaction in
                try await transaction.commit(after: ["UPDATE t SET n = 1 WHERE id = 1"])
                try await transaction.execute("UPDATE t SET n = 9 WHERE id = 1")
            }
        }
        #expect(try await sum(pool) == 1)
        await pool.close()
        withExtendedLifetime(database) {}
    }

    @Test("a savepoint undoes its own part only")
    func savepoint() async throws {
        let (database, pool) = try await fixture()
        try await pool.transaction { transaction in
            try await transaction.execute("UPDATE t SET n = 1 WHERE id = 1")
            do {
                try await transaction.savepoint { inner in
                    try await inner.execute("UPDATE t SET n = 10")
                    try await inner.execute("SELECT 1/0")
                }
                Issue.record("division by zero")
            } catch PostgresError.server(let error) {
                #expect(error.sqlState == "22012")
            }
        }
        #expect(try await sum(pool) == 1)
        await pool.close()
        withExtendedLifetime(database) {}
    }

    @Test("two transactions that deadlock both take effect, one of them on its second try")
    func deadlock() async throws {
        let (database, pool) = try await fixture()
        try await pool.execute("SELECT 1")
        let attempts = Atomic<Int>(0)
        let meeting = Meeting()
        let attempted: @Sendable (Int, Int) async throws -> Void = { first, second in
            var isFirstAttempt = true
            try await pool.transaction { transaction in
                attempts.add(1, ordering: .relaxed)
                try await transaction.execute("UPDATE t SET n = n + 1 WHERE id = \(first)")
                if isFirstAttempt {
                    isFirstAttempt = false
                    await meeting.arrive()
                }
                try await transaction.execute("UPDATE t SET n = n + 1 WHERE id = \(second)")
            }
        }
        async let one: Void = attempted(1, 2)
        async let other: Void = attempted(2, 1)
        _ = try await (one, other)
        #expect(try await sum(pool) == 4)
        #expect(attempts.load(ordering: .relaxed) == 3)
        await pool.close()
        withExtendedLifetime(database) {}
    }

    @Test("counters under serializable isolation lose nothing")
    func serializable() async throws {
        let (database, pool) = try await fixture()
        try await withThrowingTaskGroup { group in
            for _ in 0..<4 {
                group.addTask {
                    for _ in 0..<10 {
                        try await pool.transaction(isolation: .serializable, retries: 1000) { transaction in
                            let n = try await transaction.query("SELECT n FROM t WHERE id = 1")[0].get(
                                "n", as: Int.self)
                            try await transaction.execute("UPDATE t SET n = \(n + 1) WHERE id = 1")
                        }
                    }
                }
            }
            try await group.waitForAll()
        }
        #expect(try await sum(pool) == 40)
        await pool.close()
        withExtendedLifetime(database) {}
    }

    @Test("a cancelled task's transaction is rolled back and its connection used again")
    func cancellation() async throws {
        let (database, pool) = try await fixture()
        let (started, signal) = AsyncStream.makeStream(of: Void.self)
        let task = Task {
            try await pool.transaction { transaction in
                try await transaction.execute("UPDATE t SET n = 5")
                signal.yield()
                try await transaction.execute("SELECT pg_sleep(600)")
            }
        }
        for await _ in started { break }
        task.cancel()
        await #expect(throws: CancellationError.self) { try await task.value }
        // The row locks are gone, so this doesn't wait.
        try await pool.execute("UPDATE t SET n = n + 1 WHERE id = 1")
        #expect(try await sum(pool) == 1)
        await pool.close()
        withExtendedLifetime(database) {}
    }

    @Test("a pipeline gives each statement's rows in one round trip")
    func pipeline() async throws {
        let (database, pool) = try await fixture()
        for _ in 0..<2 {  // the second time with prepared statements
            let results = try await pool.withConnection {
                try await $0.pipeline([
                    "UPDATE t SET n = n + \(1) WHERE id = \(1) RETURNING n", "SELECT id FROM t ORDER BY id",
                    "SELECT \("x") AS x WHERE false",
                ])
            }
            #expect(results.map(\.count) == [1, 2, 0])
        }
        #expect(try await sum(pool) == 2)
        await pool.close()
        withExtendedLifetime(database) {}
    }

    @Test("an error in the middle of a pipeline undoes it all, and the connection is good for more")
    func brokenPipeline() async throws {
        let (database, pool) = try await fixture()
        for _ in 0..<3 {
            do {
                try await pool.withConnection {
                    try await $0.pipeline([
                        "UPDATE t SET n = n + 1", "SELECT 1/(\(0)::int)", "UPDATE t SET n = n + 100",
                        "SELECT 7",
                    ])
                }
                Issue.record("division by zero")
            } catch PostgresError.server(let error) {
                #expect(error.sqlState == "22012")
            }
            // What was skipped may be run as such.
            try await pool.execute("UPDATE t SET n = n + 100")
            try await pool.execute("UPDATE t SET n = n - 100")
        }
        #expect(try await sum(pool) == 0)
        await pool.close()
        withExtendedLifetime(database) {}
    }

    @Test("a pipeline of many megabytes both ways doesn't get stuck")
    func largePipeline() async throws {
        let (database, pool) = try await fixture()
        let text = String(repeating: "x", count: 200_000)
        let results = try await pool.withConnection {
            try await $0.pipeline((0..<100).map { _ in "SELECT \(text)::text AS text" })
        }
        #expect(try results.allSatisfy { try $0[0].get("text", as: String.self) == text })
        await pool.close()
        withExtendedLifetime(database) {}
    }
}

/// Two tasks wait here for each other.
private actor Meeting {
    private var waiting: CheckedContinuation<Void, Never>?

    func arrive() async {
        if let other = waiting {
            waiting = nil
            other.resume()
        } else {
            await withCheckedContinuation { waiting = $0 }
        }
    }
}
