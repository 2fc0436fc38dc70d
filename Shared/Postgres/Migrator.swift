package import Models

/// Brings one schema to its newest version: numbered SQL texts, each applied once, in its own transaction, under an
/// advisory lock, so that several processes may start at once.
package struct Migrator: Sendable {
    package let schema: String
    /// The role that works in the schema; nil grants nothing.
    package let role: String?
    package let migrations: [Migration]

    /// A schema that no service role owns.
    package init(schema: String, role: String? = nil, migrations: [Migration]) {
        self.schema = schema
        self.role = role
        self.migrations = migrations.sorted { $0.version < $1.version }
    }

    /// The schema of a service, with the tables that every service has, and its role's rights.
    package init(service: ServiceName, migrations: [Migration]) {
        self.init(schema: service.schema, role: service.role, migrations: migrations)
    }

    /// Everything that is applied, in order; what is standard comes first.
    package var allMigrations: [Migration] {
        role == nil ? migrations : StandardTables.migrations + migrations
    }

    /// Applies what is missing, and returns the names of what it applied. Needs the owner's rights.
    @discardableResult
    package func migrate(_ pool: PostgresPool) async throws -> [String] {
        for (index, migration) in migrations.enumerated() where migration.version != index + 1 {
            throw MigrationError.misnumbered(schema: schema, found: migration.version, expected: index + 1)
        }
        return try await pool.withConnection { connection in
            // Held by the session, because each migration commits by itself.
            let lock = "martlet.migrate.\(schema)"
            try await connection.execute("SELECT pg_advisory_lock(hashtextextended(\(lock), 0))")
            do {
                let applied = try await apply(on: connection)
                try await connection.execute("SELECT pg_advisory_unlock(hashtextextended(\(lock), 0))")
                return applied
            } catch {
                // A session that still holds the lock must not go back to the pool.
                connection.control.markBroken()
                throw error
            }
        }
    }

    private func apply(on connection: PostgresConnection) async throws -> [String] {
        try await createJournal(on: connection)
        let journal = SQL.quoted(identifier: "\(schema).schema_migration")
        var known: [Int: String] = [:]
        for row in try await connection.query("SELECT version, checksum FROM \(unsafe: journal)") {
            known[try row.get("version")] = try row.get("checksum", as: String.self)
        }
        // Checked as a whole before anything is applied.
        for migration in allMigrations {
            if let checksum = known[migration.version], checksum != migration.checksum {
                throw MigrationError.changed(schema: schema, version: migration.version, name: migration.name)
            }
        }
        var applied: [String] = []
        for migration in allMigrations where known[migration.version] == nil {
            try await apply(migration, journal: journal, on: connection)
            applied.append(migration.name)
        }
        return applied
    }

    private func createJournal(on connection: PostgresConnection) async throws {
        var script = """
            CREATE SCHEMA IF NOT EXISTS \(SQL.quoted(identifier: schema));
            CREATE TABLE IF NOT EXISTS \(SQL.quoted(identifier: schema)).schema_migration (
                version integer PRIMARY KEY,
                name text NOT NULL,
                checksum text NOT NULL,
                applied_at timestamptz NOT NULL DEFAULT now()
            );
            """
        if let role {
            // Default privileges rather than a grant after each run: a migration may take rights away from a table
            // (an append-only ledger), and they stay away.
            let schema = SQL.quoted(identifier: schema)
            let role = SQL.quoted(identifier: role)
            script += """
                GRANT USAGE ON SCHEMA \(schema) TO \(role);
                GRANT SELECT ON \(schema).schema_migration TO \(role);
                ALTER DEFAULT PRIVILEGES IN SCHEMA \(schema)
                    GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO \(role);
                ALTER DEFAULT PRIVILEGES IN SCHEMA \(schema) GRANT USAGE, SELECT ON SEQUENCES TO \(role);
                """
        }
        try await connection.script(script)
    }

    private func apply(
        _ migration: Migration, journal: String, on connection: PostgresConnection
    ) async throws {
        do {
            try await connection.transactionOnce { transaction in
                // Unqualified names mean the service's own schema.
                try await transaction.script("SET LOCAL search_path TO \(SQL.quoted(identifier: schema))")
                try await transaction.script(migration.sql)
                try await transaction.execute(
                    """
                    INSERT INTO \(unsafe: journal) (version, name, checksum)
                    VALUES (\(migration.version), \(migration.name), \(migration.checksum))
                    """)
            }
        } catch PostgresError.server(let error) where !error.isTransient {
            var reason = error.description
            if let position = error.position {
                reason += " (line \(Self.line(at: position, in: migration.sql)))"
            }
            throw MigrationError.failed(
                schema: schema, version: migration.version, name: migration.name, reason: reason)
        }
    }

    private static func line(at position: Int, in text: String) -> Int {
        1 + text.unicodeScalars.prefix(position - 1).count { $0 == "\n" }
    }
}
