import ArgumentParser
import Logging
import Models
import Postgres
import ServiceKit

/// Which installation a command is about.
struct InstallationOptions: ParsableArguments {
    @Option(help: "Where the installation keeps its keys and state.")
    var directory = ".martlet"

    var installation: InstallationDirectory { InstallationDirectory(path: directory) }

    /// Does something with the installation's database under its owner's role.
    func withDatabase<T>(_ body: (PostgresPool) async throws -> T) async throws -> T {
        try await Database.with(try installation.ownerDatabase(), body)
    }
}

/// Connections of the command line.
enum Database {
    /// A logger that says nothing: what goes wrong is told by the error.
    static let logger = Logger(label: "martlet") { _ in SwiftLogNoOpLogHandler() }

    static func with<T>(_ settings: PostgresSettings, _ body: (PostgresPool) async throws -> T) async throws
        -> T
    {
        let pool = PostgresPool(settings: settings, logger: logger)
        do {
            let result = try await body(pool)
            await pool.close()
            return result
        } catch {
            await pool.close()
            throw explained(error, settings)
        }
    }

    private static func explained(_ error: any Error, _ settings: PostgresSettings) -> any Error {
        guard let error = error as? PostgresError else { return error }
        switch error {
        case .connectionLost, .poolExhausted:
            return CommandProblem(
                "PostgreSQL does not answer for database \(settings.database) as \(settings.user): \(error)")
        default: return error
        }
    }
}
