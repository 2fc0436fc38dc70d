import ArgumentParser

/// The command line of Martlet.
@main
struct Martlet: AsyncParsableCommand {
    /// The version of this build, as in CHANGELOG.md.
    static let version = "0.1.0"

    static let configuration = CommandConfiguration(
        commandName: "martlet",
        abstract: "An open customer data platform that you run yourself.",
        discussion: """
            A first look, on a machine with PostgreSQL:
              martlet up --rehearsal --examples
              martlet simulate --shoppers 24 --days 7
              martlet status
            """,
        version: version,
        subcommands: [
            UpCommand.self, ImportCommand.self, SimulateCommand.self, MigrateCommand.self, StatusCommand.self,
            DrainCommand.self, DoctorCommand.self, DebugCommand.self,
            KeysCommand.self, MatchCommand.self, RestoreCommand.self, VerifyCommand.self,
            ClockCommand.self,
        ])
}
