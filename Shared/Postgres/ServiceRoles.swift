package import Models

/// The database roles: one per service, which may write its own tables only, and a group for reading the customer
/// profile store.
package enum ServiceRoles {
    /// The group that every service's role is a member of.
    package static let readers = "martlet_readers"

    /// Creates what is missing and sets the given passwords; may be run again at any time. A service without a
    /// password gets a role that cannot log in until it has one.
    package static func ensure(_ pool: PostgresPool, passwords: [ServiceName: String] = [:]) async throws {
        try await pool.transaction { transaction in
            // Roles belong to the whole cluster, this lock to the database only; hence the exceptions below as well.
            try await transaction.execute(
                "SELECT pg_advisory_xact_lock(hashtextextended('martlet.roles', 0))")
            try await create(readers, in: transaction)
            for service in ServiceName.allCases {
                try await create(service.role, in: transaction)
                try await transaction.script(
                    "GRANT \(SQL.quoted(identifier: readers)) TO \(SQL.quoted(identifier: service.role))")
                if let password = passwords[service] {
                    try await transaction.script(
                        """
                        ALTER ROLE \(SQL.quoted(identifier: service.role)) \
                        LOGIN PASSWORD \(SQL.quoted(literal: password))
                        """)
                }
                try await keepLogsImpersonal(service.role, in: transaction)
            }
        }
    }

    /// What a service writes is personal, and PostgreSQL logs it: the parameters of each statement that takes long, and
    /// the row that a constraint refused. An owner who may not set that (no superuser, as with hosted databases) is
    /// left with what the cluster's own settings say.
    private static func keepLogsImpersonal(_ role: String, in transaction: PostgresTransaction) async throws {
        let name = SQL.quoted(identifier: role)
        try await transaction.script(
            """
            DO $$ BEGIN
                IF NOT EXISTS (SELECT FROM pg_db_role_setting s JOIN pg_roles r ON r.oid = s.setrole
                    WHERE r.rolname = \(SQL.quoted(literal: role)) AND s.setdatabase = 0
                        AND s.setconfig @> ARRAY['log_parameter_max_length=0', 'log_error_verbosity=terse'])
                THEN
                    ALTER ROLE \(name) SET log_parameter_max_length = 0;
                    ALTER ROLE \(name) SET log_error_verbosity = terse;
                END IF;
            -- XX000 is another one who sets the same at the same moment, from another database.
            EXCEPTION WHEN insufficient_privilege OR internal_error THEN NULL;
            END $$
            """)
    }

    private static func create(_ role: String, in transaction: PostgresTransaction) async throws {
        let name = SQL.quoted(identifier: role)
        try await transaction.script(
            """
            DO $$ BEGIN
                IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = \(SQL.quoted(literal: role))) THEN
                    CREATE ROLE \(name) NOLOGIN;
                END IF;
            EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL;
            END $$
            """)
    }
}
