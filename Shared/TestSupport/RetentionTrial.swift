package import Models
import Postgres
package import ServiceKit

extension ServiceHarness {
    /// Puts a retention policy in force, as consent does; also where there is no consent service.
    package func keep(
        _ policy: JSON, in database: TestDatabase, by author: String = "key test"
    ) async throws {
        let owner = database.pool()
        try await owner.transaction { transaction in
            try await transaction.script(
                """
                CREATE TABLE IF NOT EXISTS profiles.retention_policy (
                    version bigint PRIMARY KEY, body text NOT NULL, source text NOT NULL,
                    created_at timestamptz NOT NULL, created_by text NOT NULL);
                GRANT SELECT ON profiles.retention_policy TO martlet_readers;
                """)
        }
        try await owner.execute(
            """
            INSERT INTO profiles.retention_policy (version, body, source, created_at, created_by)
            SELECT coalesce(max(version), 0) + 1, \(policy.compact), '', now(), \(author)
            FROM profiles.retention_policy
            """)
        await owner.close()
    }

    /// The worker that keeps the policy, to be stepped by hand.
    package func retention(limit: Int = 2_000) throws -> RetentionWorker {
        RetentionWorker(context, limit: limit, tasks: running.retention)
    }

    /// What consent is to be told of what was let go of: rows by class and rule.
    package func letGo() async throws -> [String: Int64] {
        var rows: [String: Int64] = [:]
        for body in try await outboxBodies(pathContaining: "/v1/retention/runs/") {
            let name = [body["class"]?.string, body["rule"]?.string].compactMap { $0 }.joined(separator: " ")
            rows[name, default: 0] += body["rows"]?.integer ?? 0
        }
        return rows
    }
}
