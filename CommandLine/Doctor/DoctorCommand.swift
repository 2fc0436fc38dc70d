import ArgumentParser
import Foundation
import Models
import Postgres

/// `martlet doctor`
struct DoctorCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "doctor",
        abstract: "Tell what is wrong with the installation, and how to mend it.",
        discussion: """
            Ends with status 1 when there is a problem, 0 otherwise.

            EXAMPLE:
              martlet doctor
            """)

    @OptionGroup var options: InstallationOptions
    @Option(help: "The database under its owner's role; that of `martlet up` by default.") var databaseURL:
        String?
    @Flag(help: "Tell only what is not fine.") var brief = false
    @Flag(help: "Answer in JSON.") var json = false

    func run() async throws {
        let installation = options.installation
        var findings: [Finding] = []
        do {
            let owner = try installation.ownerDatabase(given: databaseURL)
            findings = try await Database.with(owner) { try await DatabaseChecks(pool: $0).run() }
        } catch {
            findings.append(
                .problem(
                    "PostgreSQL", "\(error)",
                    mend:
                        "start it (`scripts/postgres.sh start \(installation.path)/postgres`), or give --database-url"
                ))
        }
        findings += try await APIClient.with { api in
            await MachineChecks(
                installation: installation, api: api, environment: ProcessInfo.processInfo.environment
            ).run()
        }
        if json {
            print(JSON.array(findings.map(\.json)).compact)
        } else {
            for finding in findings where !brief || finding.grade != .fine { print(finding.text) }
            let problems = findings.count { $0.grade == .problem }
            let warnings = findings.count { $0.grade == .warning }
            print(
                problems + warnings == 0
                    ? "everything is fine" : "\(problems) problems, \(warnings) warnings")
        }
        if findings.contains(where: { $0.grade == .problem }) { throw ExitCode(1) }
    }
}
