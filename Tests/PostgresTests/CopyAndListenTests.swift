import Logging
import Models
import Postgres
import TestSupport
import Testing

@Suite("COPY", .enabled(if: TestDatabase.isAvailable, Comment(rawValue: TestDatabase.howToEnable)))
struct CopyTests {
    @Test("hostile rows are copied as they are")
    func copy() async throws {
        let database = try await TestDatabase.make()
        let pool = database.pool()
        try await pool.execute("CREATE TABLE t (n int, \"offset\" text, j jsonb, tags text[], b bytea)")
        let texts = ValueTests.hostileStrings
        let count = try await pool.withConnection { connection in
            try await connection.copyIn(
                table: "public.t", columns: ["n", "offset", "j", "tags", "b"],
                rows: texts.enumerated().map { [$0, $1, JSON.string($1), [$1], Array($1.utf8)] })
        }
        #expect(count == texts.count)
        let rows = try await pool.query("SELECT * FROM t ORDER BY n")
        #expect(try rows.map { try $0.get("offset", as: String.self) } == texts)
        #expect(try rows.map { try $0.get("j", as: JSON.self) } == texts.map { .string($0) })
        #expect(try rows.map { try $0.get("tags", as: [String].self) } == texts.map { [$0] })
        #expect(try rows.map { try $0.get("b", as: [UInt8].self) } == texts.map { Array($0.utf8) })
        await pool.close()
    }

    @Test("NULLs are copied, and a bad row copies nothing")
    func badRow() async throws {
        let database = try await TestDatabase.make()
        let pool = database.pool(maxConnections: 1)
        try await pool.execute("CREATE TABLE t (n int)")
        try await pool.transaction { transaction in
            try await transaction.copyIn(table: "t", columns: ["n"], rows: [[nil as Int?], [1]])
        }
        do {
            try await pool.withConnection {
                try await $0.copyIn(table: "t", columns: ["n"], rows: [[2], ["x"]])
            }
            Issue.record("x is a number")
        } catch PostgresError.server(let error) {
            #expect(error.sqlState == "22P02")
        }
        #expect(try await pool.query("SELECT n FROM t").count == 2)
        await pool.close()
    }
}

@Suite("LISTEN", .enabled(if: TestDatabase.isAvailable, Comment(rawValue: TestDatabase.howToEnable)))
struct ListenTests {
    @Test("notifications arrive with the commit, each listener its own channels")
    func listen() async throws {
        let database = try await TestDatabase.make()
        let pool = database.pool()
        var one = pool.listen(["one", "it's \"odd\".name"]).makeAsyncIterator()
        #expect(await one.next() == .reconnected)
        var two = pool.listen(["two"]).makeAsyncIterator()
        #expect(await two.next() == .reconnected)
        try? await pool.transaction { transaction in
            try await transaction.notify("one", payload: "never")
            throw CancellationError()
        }
        try await pool.transaction { transaction in
            try await transaction.notify("two", payload: "b")
            try await transaction.notify("one", payload: "a")
            try await transaction.notify("it's \"odd\".name")
        }
        #expect(await one.next() == .message(channel: "one", payload: "a"))
        #expect(await one.next() == .message(channel: "it's \"odd\".name", payload: ""))
        #expect(await two.next() == .message(channel: "two", payload: "b"))
        await pool.close()
        #expect(await two.next() == nil)
    }

    @Test("a listener whose connection was lost is told, and hears again")
    func reconnect() async throws {
        let database = try await TestDatabase.make()
        let pool = database.pool()
        var listener = pool.listen(["one"]).makeAsyncIterator()
        #expect(await listener.next() == .reconnected)
        try await PoolTests.endSessions(of: database)
        #expect(await listener.next() == .reconnected)
        try await pool.withConnection { try await $0.notify("one", payload: "again") }
        #expect(await listener.next() == .message(channel: "one", payload: "again"))
        await pool.close()
    }
}
