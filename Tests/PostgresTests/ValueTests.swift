import FoundationEssentials
import Models
import Postgres
import TestSupport
import Testing

@Suite("Values", .enabled(if: TestDatabase.isAvailable, Comment(rawValue: TestDatabase.howToEnable)))
struct ValueTests {
    private func roundTrip<T: PostgresEncodable & PostgresDecodable>(
        _ value: T, as type: String, on pool: PostgresPool
    ) async throws -> T? {
        try await pool.query("SELECT \(value)::\(unsafe: type) AS value").first?.get("value", as: T.self)
    }

    static let hostileStrings = [
        "", " ", "'", "''; DROP TABLE x; --", "\"", "\\", "\\\\n", "\\N", "\t\r\n\u{0B}\u{08}\u{0C}", "{}",
        "{NULL}",
        "NULL", "a,b", "$1", "%s", "é", "日本語", "👩‍👩‍👧‍👦", "\u{FEFF}x", "\u{202E}abc", "\u{1F}\u{7F}",
        String(repeating: "long ", count: 20_000),
    ]

    @Test("hostile strings come back as they were sent", arguments: hostileStrings)
    func strings(text: String) async throws {
        let pool = try await TestDatabase.shared().pool(maxConnections: 1)
        #expect(try await roundTrip(text, as: "text", on: pool) == text)
        #expect(try await roundTrip([text, "x", text], as: "text[]", on: pool) == [text, "x", text])
        #expect(try await roundTrip([text, nil], as: "text[]", on: pool) == [text, nil] as [String?])
        #expect(try await roundTrip(JSON.string(text), as: "jsonb", on: pool) == .string(text))
        await pool.close()
    }

    @Test("arrays in binary form are what they are as text")
    func binaryArrays() async throws {
        let pool = try await TestDatabase.shared().pool(maxConnections: 1)
        func check<T: PostgresEncodable & PostgresDecodable & PostgresBinaryElement & Equatable>(
            _ values: [T?], _ type: String
        ) async throws {
            let rows = try await pool.query(
                "SELECT \(binary: values) AS b, \(binary: values) = \(values)::\(unsafe: type)[] AS same")
            let same = try rows[0].get("same", as: Bool.self)
            #expect(same, "\(type)")
            let back = try rows[0].get("b", as: [T?].self)
            #expect(back == values, "\(type)")
        }
        try await check(Self.hostileStrings + [nil], "text")
        try await check([Int16.min, 0, nil, .max], "smallint")
        try await check([Int64.min, -1, nil, .max], "bigint")
        try await check([UUID(), nil, UUID()], "uuid")
        try await check(
            [Instant(milliseconds: -1), nil, Instant(milliseconds: 1_795_262_400_123), .distantPast],
            "timestamptz")
        try await check([String](), "text")
        // A cast converts, and the same text with a parameter of another form is another statement.
        let rows = try await pool.query("SELECT \(binary: ["7", "8"])::int[] AS n")
        let numbers = try rows[0].get("n", as: [Int].self)
        #expect(numbers == [7, 8])
        let plain = try await pool.query("SELECT \(["9"])::int[] AS n")
        let number = try plain[0].get("n", as: [Int].self)
        #expect(number == [9])
        await #expect(throws: PostgresError.self) {
            try await pool.query("SELECT \(binary: ["\0"]) AS n")
        }
        let bytes = try await pool.query("SELECT \(binary: [UTF8Text(Array("é".utf8))]) AS t")
        let text = try bytes[0].get("t", as: [String].self)
        #expect(text == ["é"])
        await pool.close()
    }

    @Test("every type comes back as it was sent")
    func types() async throws {
        let pool = try await TestDatabase.shared().pool(maxConnections: 1)
        #expect(try await roundTrip(true, as: "bool", on: pool) == true)
        #expect(try await roundTrip(Int64.min, as: "bigint", on: pool) == Int64.min)
        #expect(try await roundTrip(Int16.max, as: "smallint", on: pool) == Int16.max)
        for value in [0.1, -0.0, 1e308, .leastNonzeroMagnitude, .infinity, -.infinity] as [Double] {
            #expect(try await roundTrip(value, as: "float8", on: pool) == value)
        }
        #expect(try await roundTrip(Double.nan, as: "float8", on: pool)?.isNaN == true)
        let decimal = try #require(Decimal(string: "12345678901234567890.0123456789"))
        #expect(try await roundTrip(decimal, as: "numeric", on: pool) == decimal)
        let uuid = UUID()
        #expect(try await roundTrip(uuid, as: "uuid", on: pool) == uuid)
        #expect(try await roundTrip([ProfileID(uuid)], as: "uuid[]", on: pool) == [ProfileID(uuid)])
        #expect(try await roundTrip(Shard.all, as: "smallint[]", on: pool) == Shard.all)
        #expect(try await roundTrip(Array(UInt8.min...UInt8.max), as: "bytea", on: pool) == Array(0...255))
        #expect(try await roundTrip([UInt8](), as: "bytea", on: pool) == [])
        #expect(
            try await roundTrip([[0, 92], [34]] as [[UInt8]], as: "bytea[]", on: pool) == [[0, 92], [34]])
        #expect(try await roundTrip([String](), as: "text[]", on: pool) == [])
        #expect(try await roundTrip([Int64?](arrayLiteral: nil, 1), as: "int8[]", on: pool) == [nil, 1])
        #expect(try await roundTrip(nil as String?, as: "text", on: pool) == .some(nil))
        #expect(try await roundTrip(ServiceName.consent, as: "text", on: pool) == .consent)
        let json: JSON = ["a": [1, 2.5, .null, true, ["b": "\"\\"]], "": ""]
        #expect(try await roundTrip(json, as: "jsonb", on: pool) == json)
        await pool.close()
    }

    @Test("instants keep their milliseconds from 44 BC to 9999, and years need four digits or more")
    func instants() async throws {
        let pool = try await TestDatabase.shared().pool(maxConnections: 1)
        var milliseconds: [Int64] = [
            0, 1, -1, 999, -62_135_596_800_000, -62_135_596_800_001, -63_549_360_000_000, 253_402_300_799_999,
            253_402_300_800_000, 951_782_400_123, 1_709_251_199_999,
        ]
        for _ in 0..<200 { milliseconds.append(.random(in: -62_135_596_800_000...253_402_300_799_999)) }
        let instants = milliseconds.map(Instant.init(milliseconds:))
        #expect(try await roundTrip(instants, as: "timestamptz[]", on: pool) == instants)
        // The server's own arithmetic agrees.
        let rows = try await pool.query(
            """
            SELECT (extract(epoch FROM t) * 1000)::bigint AS ms FROM unnest(\(instants)::timestamptz[])
            WITH ORDINALITY AS x(t, n) ORDER BY n
            """)
        #expect(try rows.map { try $0.get("ms", as: Int64.self) } == milliseconds)
        await pool.close()
    }

    @Test("a NUL byte is refused before it is sent, and the connection is good for more")
    func nul() async throws {
        let pool = try await TestDatabase.shared().pool(maxConnections: 1)
        await #expect(throws: PostgresError.self) { try await pool.query("SELECT \("a\u{0}b")::text") }
        do {
            _ = try await pool.query("SELECT \(["a\u{0}b"])::text[]")
            Issue.record("a NUL byte was accepted")
        } catch PostgresError.unencodable {}
        do {
            try await pool.withConnection {
                _ = try await $0.copyIn(table: "pg_catalog.pg_class", columns: ["relname"], rows: [["\u{0}"]])
            }
            Issue.record("a NUL byte was accepted")
        } catch PostgresError.unencodable {}
        #expect(try await pool.query("SELECT 1 AS one").first?.get("one", as: Int.self) == 1)
        await pool.close()
    }

    @Test("a column of another kind, a missing one and a NULL are typed errors without the value in them")
    func decoding() async throws {
        let pool = try await TestDatabase.shared().pool(maxConnections: 1)
        let row = try #require(try await pool.query("SELECT 'secret' AS a, NULL AS b").first)
        for column in ["a", "b", "c"] {
            do throws(PostgresError) {
                _ = try row.get(column, as: Int.self)
                Issue.record("\(column) was decoded")
            } catch {
                guard case .decoding(column, _) = error else {
                    Issue.record("\(error)")
                    continue
                }
                #expect(!"\(error)".contains("secret"))
            }
        }
        await pool.close()
    }

    @Test("error descriptions hold no values")
    func discreetErrors() async throws {
        let database = try await TestDatabase.make()
        let pool = database.pool(maxConnections: 1)
        try await pool.execute("CREATE TABLE t (email text UNIQUE, n int)")
        try await pool.execute("INSERT INTO t VALUES ('secret', 1)")
        for statement in [
            "INSERT INTO t VALUES (\("secret"), 1)", "SELECT \("secret")::int",
            "INSERT INTO t (n) VALUES (\("secret"))",
        ] as [SQL] {
            do {
                try await pool.execute(statement)
                Issue.record("it worked")
            } catch {
                #expect(!"\(error)".contains("secret"), "\(error)")
            }
        }
        await pool.close()
    }

    @Test("interpolated statements compose, and count their parameters through")
    func composition() async throws {
        let pool = try await TestDatabase.shared().pool(maxConnections: 1)
        let conditions: [SQL] = ["n > \(2)", "n < \(9)", "n <> ALL(\([4, 5])::int[])"]
        let rows = try await pool.query(
            "SELECT n FROM generate_series(\(1)::int, \(10)::int) n WHERE "
                + SQL.joined(conditions, separator: " AND ") + " ORDER BY \(identifier: "n")")
        #expect(try rows.map { try $0.get("n", as: Int.self) } == [3, 6, 7, 8])
        await pool.close()
    }
}

extension TestDatabase {
    private static let sharedTask = Task { try await TestDatabase.make() }
    /// An empty database for tests that leave nothing in it.
    static func shared() async throws -> TestDatabase { try await sharedTask.value }
}
