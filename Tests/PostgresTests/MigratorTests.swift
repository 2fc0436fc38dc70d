import Logging
import Models
import Postgres
import TestSupport
import Testing

@Suite("Migrations", .enabled(if: TestDatabase.isAvailable, Comment(rawValue: TestDatabase.howToEnable)))
struct MigratorTests {
    private let first = Migration(
        version: 1, name: "initial", sql: "CREATE TABLE thing (id int PRIMARY KEY);")
    private let second = Migration(version: 2, name: "more", sql: "ALTER TABLE thing ADD COLUMN name text;")

    @Test("each migration is applied once, in order, and the standard tables before all")
    func once() async throws {
        let database = try await TestDatabase.make()
        let pool = database.pool(maxConnections: 1)
        let old = Migrator(service: .delivery, migrations: [first])
        #expect(
            try await old.migrate(pool) == [
                "standard_tables", "standard_functions", "standard_day_keys", "standard_audit_log",
                "standard_retention", "standard_audit_anchor", "initial",
            ])
        #expect(try await old.migrate(pool) == [])
        #expect(
            try await Migrator(service: .delivery, migrations: [second, first]).migrate(pool) == ["more"])
        try await pool.execute("INSERT INTO delivery.thing VALUES (1, 'x')")
        try await pool.execute("SELECT * FROM delivery.outbox, delivery.stream_head")
        await pool.close()
    }

    @Test("an old file that was changed is refused by name, and nothing new is applied")
    func changed() async throws {
        let database = try await TestDatabase.make()
        let pool = database.pool(maxConnections: 1)
        _ = try await Migrator(service: .delivery, migrations: [first]).migrate(pool)
        var edited = first
        edited.sql += " "
        do {
            _ = try await Migrator(service: .delivery, migrations: [edited, second]).migrate(pool)
            Issue.record("the edited file was accepted")
        } catch let error as MigrationError {
            #expect("\(error)".contains("V1 (initial) of schema delivery was changed"))
        }
        #expect(try await pool.query("SELECT FROM delivery.schema_migration").count == 7)
        await pool.close()
    }

    @Test("a file that fails leaves nothing, and names its line")
    func failing() async throws {
        let database = try await TestDatabase.make()
        let pool = database.pool(maxConnections: 1)
        let broken = Migration(
            version: 2, name: "broken", sql: "CREATE TABLE other (id int);\n\nCREATE TABEL x;")
        do {
            _ = try await Migrator(service: .delivery, migrations: [first, broken]).migrate(pool)
            Issue.record("TABEL")
        } catch let error as MigrationError {
            #expect("\(error)".contains("V2 (broken)"))
            #expect("\(error)".contains("line 3"))
        }
        #expect(
            try await pool.query("SELECT to_regclass('delivery.other') AS t")[0].get("t", as: String?.self)
                == nil)
        await pool.close()
    }

    @Test("numbers with a gap are refused")
    func gap() async throws {
        let database = try await TestDatabase.make()
        let pool = database.pool(maxConnections: 1)
        await #expect(throws: MigrationError.self) {
            try await Migrator(schema: "x", migrations: [second]).migrate(pool)
        }
        await pool.close()
    }

    @Test("migrators that race apply everything once")
    func race() async throws {
        let database = try await TestDatabase.make()
        let migrator = Migrator(service: .consent, migrations: [first, second])
        let applied = try await withThrowingTaskGroup { group in
            for _ in 0..<4 {
                group.addTask {
                    let pool = database.pool(maxConnections: 1)
                    defer { Task { await pool.close() } }
                    return try await migrator.migrate(pool)
                }
            }
            return try await group.reduce(into: []) { $0 += $1 }
        }
        #expect(
            applied == [
                "standard_tables", "standard_functions", "standard_day_keys", "standard_audit_log",
                "standard_retention", "standard_audit_anchor", "initial",
                "more",
            ])
    }

    @Test("a service's role works in its own schema and in no other, and keeps what a migration took away")
    func grants() async throws {
        let ledger = Migration(
            version: 1, name: "ledger",
            sql: """
                CREATE TABLE ledger (id bigint GENERATED ALWAYS AS IDENTITY, text text);
                REVOKE UPDATE, DELETE ON ledger FROM martlet_consent;
                """)
        let database = try await TestDatabase.make([
            Migrator(service: .consent, migrations: [ledger]),
            Migrator(service: .delivery, migrations: [first]),
        ])
        let pool = database.pool(as: .consent, maxConnections: 1)
        try await pool.execute("INSERT INTO ledger (text) VALUES ('a')")
        try await pool.execute("INSERT INTO stream_head VALUES (0, 's', 1)")
        for forbidden in [
            "DELETE FROM ledger", "SELECT * FROM delivery.thing", "CREATE TABLE consent.x ()",
            "DELETE FROM schema_migration",
        ] as [SQL] {
            do {
                try await pool.execute(forbidden)
                Issue.record("allowed")
            } catch PostgresError.server(let error) {
                #expect(error.sqlState == "42501")
            }
        }
        await pool.close()
    }

    @Test("roles are made once, can log in with their password, and read as a group")
    func roles() async throws {
        let database = try await TestDatabase.make([Migrator(service: .journeys, migrations: [first])])
        let pool = database.pool(maxConnections: 1)
        for _ in 0..<2 { try await ServiceRoles.ensure(pool) }
        let members = try await pool.query(
            """
            SELECT count(*) AS n FROM pg_auth_members m JOIN pg_roles r ON r.oid = m.roleid
            WHERE r.rolname = 'martlet_readers'
            """)
        #expect(try members[0].get("n", as: Int.self) == ServiceName.allCases.count)
        // What a service writes is personal, and no log's business.
        let quiet = try await pool.query(
            """
            SELECT count(*) AS n FROM pg_db_role_setting s JOIN pg_roles r ON r.oid = s.setrole
            WHERE starts_with(r.rolname, 'martlet_') AND 'log_parameter_max_length=0' = ANY(s.setconfig)
            """)
        #expect(try quiet[0].get("n", as: Int.self) == ServiceName.allCases.count)

        var settings = database.settings()
        try await ServiceRoles.ensure(pool, passwords: [.journeys: "it's \\ a pass"])
        settings.user = ServiceName.journeys.role
        settings.setPassword("it's \\ a pass")
        let connection = try await PostgresConnection.open(settings)
        #expect(
            try await connection.query("SELECT current_user AS u")[0].get("u", as: String.self)
                == "martlet_journeys")
        await pool.close()
    }

    @Test("a database URI for other processes leads to the same place with the same rights")
    func uri() async throws {
        let database = try await TestDatabase.make([Migrator(service: .journeys, migrations: [first])])
        let connection = try await PostgresConnection.open(
            try PostgresSettings(url: database.url(as: .journeys)))
        let row = try await connection.query("SELECT current_user AS u, current_database() AS d")[0]
        #expect(try row.get("u", as: String.self) == "martlet_journeys")
        #expect(try row.get("d", as: String.self) == database.name)
        #expect(try await connection.query("SELECT * FROM thing").isEmpty)
    }
}
