import ArgumentParser
import Foundation
import Models
import Postgres
import ServiceKit

/// `martlet up`
struct UpCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "up",
        abstract: "Bring up every service on this machine, and keep it up until interrupted.",
        discussion: """
            Makes keys and passwords on first use, creates the database, its roles and its tables, starts the
            seven services and starts each again that ends. Ctrl-C stops them in order.

            With --rehearsal a new installation gets a clock that moves only by `martlet clock advance`, so that
            weeks pass in seconds.

            Settings of the services are passed on from the environment, such as MARTLET_SMTP_URL,
            MARTLET_PUBLIC_URL or MARTLET_LOG_LEVEL.

            EXAMPLE:
              scripts/postgres.sh start .martlet/postgres
              martlet up --rehearsal --examples
            """)

    @OptionGroup var options: InstallationOptions

    @Flag(help: "Create the installation as a rehearsal, whose clock stands still until it is moved.")
    var rehearsal = false

    @Option(help: "A PostgreSQL URL with the right to create databases and roles.")
    var databaseURL: String?

    @Option(help: "Where the services' executables are; beside this one by default.")
    var binDirectory: String?

    @Option(help: "The first of the ports: the console gets this one, ingestion the next, and so on.")
    var basePort = ServiceName.console.defaultPort

    @Flag(help: "Load the example segments, journeys and templates that are not there yet.")
    var examples = false

    @Option(help: "Where the examples are.")
    var examplesDirectory: String?

    @Option(help: "How long the services may take to get ready, in seconds.")
    var readyWithin = 60

    func run() async throws {
        let signals = StopSignals()
        let installation = options.installation
        try installation.create()
        let lock = try DirectoryLock(path: installation.path(of: "run/lock"))
        defer { withExtendedLifetime(lock) {} }
        let say: @Sendable (String) -> Void = { StandardOutput.write($0 + "\n") }
        try? FileManager.default.removeItem(atPath: installation.readyFile)
        defer { try? FileManager.default.removeItem(atPath: installation.readyFile) }
        try await Supervisor.endOrphans(of: installation, say: say)

        let executables = try Executables(directory: binDirectory)
        let owner = try installation.ownerDatabase(given: databaseURL)
        try installation.write(owner.uri, to: .databaseURL)
        let secrets = Secrets(installation: installation)
        _ = try secrets.serviceSecret()
        _ = try secrets.identifierSecret()
        _ = try secrets.keyEncryptionKeys()
        let passwords = try secrets.rolePasswords()
        let (adminKey, isRehearsal) = try await prepare(owner, passwords, executables, secrets, say: say)

        let environment = ServiceEnvironment(
            installation: installation, owner: owner, passwords: passwords, basePort: basePort,
            inherited: ProcessInfo.processInfo.environment)
        try PortCheck.run(ServiceName.deployed.map { ($0, environment.port(of: $0)) })
        let plans = ServiceName.deployed.map { service in
            Supervisor.Plan(
                service: service, executable: executables.path(of: service),
                environment: environment.variables(for: service), url: environment.url(of: service),
                log: installation.path(of: "logs/\(service.rawValue).log"))
        }
        let supervisor = Supervisor(plans: plans, runFile: installation.runFile, say: say)
        let rotation = Task { await LogRotation(files: plans.map(\.log)).run() }
        defer { rotation.cancel() }
        await supervisor.start()

        // Also while the services start, an interruption must stop them.
        let start = Task {
            try await self.bringReady(
                supervisor, plans: plans, adminKey: adminKey, rehearsal: isRehearsal, say: say)
        }
        let watch = Task {
            do { try await start.value } catch is CancellationError {} catch {
                say("martlet up: \(error)")
                for plan in plans { LogTail.show(plan.log, lines: 3, say: say) }
                kill(getpid(), SIGTERM)
                return false
            }
            return true
        }
        await signals.next()
        start.cancel()
        say("stopping")
        await supervisor.stop()
        say("stopped")
        guard await watch.value else { throw ExitCode.failure }
    }

    private func prepare(
        _ owner: PostgresSettings, _ passwords: [ServiceName: String], _ executables: Executables,
        _ secrets: Secrets, say: (String) -> Void
    ) async throws -> (adminKey: String, rehearsal: Bool) {
        let setup = DatabaseSetup(owner: owner, executables: executables)
        try await setup.createDatabase()
        try await Database.with(owner) { pool in try await ServiceRoles.ensure(pool, passwords: passwords) }
        let applied = try setup.migrate().filter { !$0.hasSuffix("up to date") }
        if !applied.isEmpty { say("applied \(applied.count) migrations") }
        return try await Database.with(owner) { pool in
            let kind = try await Installation.create(
                rehearsal: rehearsal, startingAt: .fromSystemClock(), pool: pool)
            guard kind || !rehearsal else {
                throw CommandProblem(
                    "this installation was created for real, not as a rehearsal; use another --directory and database"
                )
            }
            return (try await secrets.adminKey(pool: pool), kind)
        }
    }

    private func bringReady(
        _ supervisor: Supervisor, plans: [Supervisor.Plan], adminKey: String, rehearsal: Bool,
        say: @Sendable (String) -> Void
    ) async throws {
        try await APIClient.with { api in
            try await ReadinessProbe(api: api).wait(
                plans.map { ($0.service, $0.url) }, limit: .seconds(readyWithin)
            ) { await supervisor.note($0, ready: true) }
            let urls = Dictionary(plans.map { ($0.service, $0.url) }, uniquingKeysWith: { first, _ in first })
            _ = try await FirstSource(
                api: api, installation: options.installation, ingestion: urls[.ingestion] ?? "",
                adminKey: adminKey
            ).ensure()
            if examples {
                let loader = ExampleLoader(
                    api: api, adminKey: adminKey, url: { urls[$0] ?? "" },
                    directory: try ExampleLoader.find(given: examplesDirectory))
                let loaded = try await loader.load()
                if !loaded.isEmpty { say("loaded " + loaded.joined(separator: ", ")) }
            }
        }
        say(StatusTable.text(await supervisor.entries))
        say(
            rehearsal
                ? "ready; a rehearsal: its clock moves by `martlet clock advance`. Ctrl-C stops everything."
                : "ready. Ctrl-C stops everything.")
        try Data().write(to: URL(fileURLWithPath: options.installation.readyFile))
    }
}

/// Keeps a second `martlet up` away from the same directory; the lock ends with the process.
final class DirectoryLock {
    private let descriptor: Int32

    init(path: String) throws {
        descriptor = open(path, O_CREAT | O_RDWR | O_CLOEXEC, 0o600)
        guard descriptor >= 0, flock(descriptor, LOCK_EX | LOCK_NB) == 0 else {
            throw CommandProblem("another `martlet up` runs on this directory (\(path) is locked)")
        }
    }

    deinit { close(descriptor) }
}

/// The end of a log, for when something went wrong.
enum LogTail {
    static func show(_ path: String, lines: Int, say: (String) -> Void) {
        guard let data = FileManager.default.contents(atPath: path), !data.isEmpty else { return }
        let tail = String(decoding: data.suffix(20_000), as: UTF8.self).split(separator: "\n").suffix(lines)
        say("the end of \(path):")
        for line in tail { say("  \(line)") }
    }
}
