import ArgumentParser
import Models
import Postgres
import ServiceKit

/// `martlet migrate`
struct MigrateCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "migrate",
        abstract: "Create the database and bring every schema up to date.",
        discussion: """
            `martlet up` does this by itself; run it alone before an upgrade of services that systemd or a
            container platform starts. It may run while the old version still serves. Identity's schema comes before
            those of the services that read the customer profile store.

            EXAMPLE:
              martlet migrate --database-url postgres://owner:secret@db.internal/martlet
            """)

    @OptionGroup var options: InstallationOptions

    @Option(help: "A PostgreSQL URL with the right to create databases and roles.")
    var databaseURL: String?

    @Option(help: "Where the services' executables are; beside this one by default.")
    var binDirectory: String?

    @Flag(help: "Create the installation as a rehearsal, whose clock stands still until it is moved.")
    var rehearsal = false

    func run() async throws {
        let owner = try options.installation.ownerDatabase(given: databaseURL)
        let setup = DatabaseSetup(owner: owner, executables: try Executables(directory: binDirectory))
        try await setup.createDatabase()
        try await Database.with(owner) { pool in try await ServiceRoles.ensure(pool) }
        for line in try setup.migrate() { print(line) }
        _ = try await Database.with(owner) { pool in
            try await Installation.create(rehearsal: rehearsal, startingAt: .fromSystemClock(), pool: pool)
        }
    }
}
