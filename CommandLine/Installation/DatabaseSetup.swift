import Foundation
import Models
import Postgres
import ServiceKit

/// Brings the database of an installation up to date.
struct DatabaseSetup {
    let owner: PostgresSettings
    let executables: Executables

    /// In this order, because later migrations grant on and refer to what earlier ones make.
    static let order: [ServiceName] = [
        .identity, .consent, .segmentation, .recommendation, .ingestion, .journeys, .delivery,
    ]

    /// Creates the database where it is not there yet.
    func createDatabase() async throws {
        var maintenance = owner
        maintenance.database = "postgres"
        maintenance.maxConnections = 1
        let name = owner.database
        try await Database.with(maintenance) { pool in
            let known = try await pool.query("SELECT 1 FROM pg_database WHERE datname = \(name)")
            guard known.isEmpty else { return }
            do {
                try await pool.execute("CREATE DATABASE \(unsafe: SQL.quoted(identifier: name))")
            } catch PostgresError.server(let error)
                where error.sqlState == "42P04" || error.sqlState == "23505"
            {
                // Somebody else was quicker.
            }
        }
    }

    /// Applies the migrations of every service by running its `migrate`; returns what each said.
    func migrate() throws -> [String] {
        var report: [String] = []
        for service in Self.order {
            let result = try executables.run(
                service, arguments: ["migrate"], environment: ["MARTLET_OWNER_DATABASE_URL": owner.uri])
            guard result.status == 0 else {
                throw CommandProblem("migrating \(service.rawValue) failed: \(result.output)")
            }
            report += result.output.split(separator: "\n").map(String.init)
        }
        return report
    }
}
