import Models
import Postgres

/// Whether PostgreSQL is there and keeps what it has acknowledged.
enum Readiness {
    /// Settings without which a 2xx would not mean "on disk".
    private static let durability = ["fsync", "full_page_writes", "synchronous_commit"]

    /// What stands in the way; empty when the service can do its work.
    static func findings(pool: PostgresPool) async -> [String] {
        do {
            let rows = try await pool.query(
                "SELECT name, setting FROM pg_settings WHERE name = ANY(\(durability)::text[]) AND setting = 'off'"
            )
            return try rows.map { row in
                let name = try row.get("name", as: String.self)
                return "PostgreSQL runs with \(name) off, so committed data could be lost; set \(name) = on"
            }
        } catch {
            return ["PostgreSQL does not answer; is it running, and is MARTLET_DATABASE_URL right?"]
        }
    }
}
