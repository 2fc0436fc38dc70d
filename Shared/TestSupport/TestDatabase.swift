import FoundationEssentials
import Glibc
package import Logging
package import Models
package import Postgres
import Synchronization

/// A PostgreSQL database of a test's own, with everything migrated, dropped when the last reference to it goes. It is
/// copied from a template that is made once per set of migrations, also across processes.
///
/// Tests that need it say so: `@Suite(.enabled(if: TestDatabase.isAvailable, TestDatabase.howToEnable))`.
package final class TestDatabase: Sendable {
    /// Whether a PostgreSQL for tests was named.
    package static var isAvailable: Bool { baseURL != nil }
    /// What to tell somebody whose tests were skipped.
    package static let howToEnable =
        "needs MARTLET_TEST_DATABASE_URL, a superuser's URL of a PostgreSQL for tests"

    private static var baseURL: String? {
        getenv("MARTLET_TEST_DATABASE_URL").map { String(cString: $0) }.flatMap { $0.isEmpty ? nil : $0 }
    }

    /// The database's name.
    package let name: String
    private let base: PostgresSettings

    private init(name: String, base: PostgresSettings) {
        self.name = name
        self.base = base
    }

    deinit {
        // Blocks, because a task could still be busy with it while the process ends. What remains, the next process
        // drops (`sweep`).
        try? PostgresConnection.runBlocking(Self.drop(name), settings: base)
    }

    /// Makes a database with the given schemas migrated in order.
    package static func make(_ migrators: [Migrator] = []) async throws -> TestDatabase {
        guard let baseURL else { throw TestDatabaseUnavailable() }
        let base = try PostgresSettings(url: baseURL)
        try await sweepOnce(base)
        let template = try await template(for: migrators, base: base)
        let name = "martlet_test_\(getpid())_\(nextNumber())_\(UInt32.random(in: 0...UInt32.max))"
        try await maintain(base) { connection in
            try await connection.execute(
                "CREATE DATABASE \(identifier: name) TEMPLATE \(identifier: template)")
        }
        return TestDatabase(name: name, base: base)
    }

    /// Settings for sessions with the rights of a service, or of the owner (nil).
    package func settings(as service: ServiceName? = nil) -> PostgresSettings {
        var settings = base
        settings.database = name
        settings.applicationName = "martlet tests"
        // The superuser takes on the role, so that roles need no passwords here.
        settings.role = service?.role
        settings.searchPath = service.map { [$0.schema] }
        return settings
    }

    /// A pool with the rights of a service, or of the owner (nil).
    package func pool(
        as service: ServiceName? = nil, maxConnections: Int = 4, logger: Logger = Logger(label: "test")
    ) -> PostgresPool {
        var settings = settings(as: service)
        settings.maxConnections = maxConnections
        return PostgresPool(settings: settings, logger: logger)
    }

    /// A connection URI for processes that are started with the rights of a service, or of the owner (nil).
    package func url(as service: ServiceName? = nil) -> String {
        settings(as: service).uri
    }

    // MARK: - Templates

    private static func template(for migrators: [Migrator], base: PostgresSettings) async throws -> String {
        let fingerprint = StableHash.hash64(
            migrators.flatMap { migrator in
                ["schema", migrator.schema, migrator.role ?? ""]
                    + migrator.allMigrations.map { "\($0.version) \($0.checksum)" }
            })
        let name = "martlet_template_\(String(fingerprint, radix: 16))"
        try await maintain(base) { connection in
            // Several processes may want the same template at the same time; roles belong to the whole cluster.
            try await connection.execute(
                "SELECT pg_advisory_lock(hashtextextended('martlet.test.template', 0))")
            // The connection is closed afterwards, and with it the lock.
            let known = try await connection.query("SELECT FROM pg_database WHERE datname = \(name)")
            if !known.isEmpty { return }
            let draft = "\(name)_draft"
            try await connection.script(drop(draft))
            try await connection.execute("CREATE DATABASE \(identifier: draft) TEMPLATE template0")
            try await migrate(draft, migrators, base: base)
            try await connection.execute("ALTER DATABASE \(identifier: draft) RENAME TO \(identifier: name)")
        }
        return name
    }

    private static func migrate(
        _ database: String, _ migrators: [Migrator], base: PostgresSettings
    ) async throws {
        var settings = base
        settings.database = database
        settings.maxConnections = 1
        let pool = PostgresPool(settings: settings, logger: Logger(label: "test"))
        try await ServiceRoles.ensure(pool)
        for migrator in migrators { try await migrator.migrate(pool) }
        await pool.close()
        // A template must have no sessions, and closing is not instantaneous.
        try await maintain(base) { connection in
            try await connection.execute(
                """
                SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity
                WHERE datname = \(database) AND pid <> pg_backend_pid()
                """)
        }
    }

    // MARK: - Housekeeping

    /// Runs statements on a connection of their own to the database that the URL names.
    @discardableResult
    private static func maintain<T>(
        _ base: PostgresSettings, _ body: (PostgresConnection) async throws -> T
    ) async throws -> T {
        try await body(try await PostgresConnection.open(base))
    }

    private static func drop(_ name: String) -> String {
        "DROP DATABASE IF EXISTS \(SQL.quoted(identifier: name)) WITH (FORCE)"
    }

    private static let counter = Atomic<Int>(0)
    private static func nextNumber() -> Int { counter.add(1, ordering: .relaxed).newValue }

    private static let sweeping = Mutex<Task<Void, any Error>?>(nil)

    private static func sweepOnce(_ base: PostgresSettings) async throws {
        let task = sweeping.withLock { task in
            let running = task ?? Task { try await sweep(base) }
            task = running
            return running
        }
        try await task.value
    }

    /// Drops what test processes left behind that don't run any more.
    private static func sweep(_ base: PostgresSettings) async throws {
        try await maintain(base) { connection in
            let rows = try await connection.query(
                "SELECT datname FROM pg_database WHERE datname LIKE 'martlet\\_test\\_%'")
            for row in rows {
                let name = try row.get("datname", as: String.self)
                let parts = name.split(separator: "_")
                guard parts.count > 2, let process = Int32(parts[2]), kill(process, 0) != 0 else { continue }
                try await connection.script(drop(name))
            }
        }
    }
}

/// No PostgreSQL for tests was named.
package struct TestDatabaseUnavailable: Error, CustomStringConvertible {
    package var description: String { "this test \(TestDatabase.howToEnable)" }
}
