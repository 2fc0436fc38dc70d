import ArgumentParser
import Foundation
import Models
import Postgres
import ServiceKit

/// `martlet restore`
struct RestoreCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "restore",
        abstract:
            "After a backup was put back: do again what was erased, restricted, withdrawn and revoked since it was made.",
        discussion: """
            Consent writes down every minute, and when it stops, what a backup must not bring back
            (ledger-heads/erasures.ndjson): keep copies of that file apart from the database. With the backup in place, start
            identity, consent and ingestion, run this, and start the others when it says so: nobody is sent anything before
            withdrawals are back. It may be run again at any time, and does nothing twice.

            Ends with status 1 when somebody has to look at something.

            EXAMPLE:
              martlet restore --list /mnt/safe/erasures.ndjson
            """)

    @OptionGroup var options: InstallationOptions
    @Option(help: "What consent has written down; the file of the installation by default.") var list: String?
    @Option(help: "An admin API key; that of the installation by default.") var apiKey: String?
    @Option(help: "How many seconds to wait for the services to have erased everybody.") var within = 600
    @Flag(help: "Don't wait for the services to have erased everybody.") var noWait = false

    func run() async throws {
        guard
            let key = apiKey ?? ProcessInfo.processInfo.environment["MARTLET_API_KEY"]
                ?? options.installation.read(.adminKey)
        else { throw CommandProblem("no API key is known; give --api-key, or start `martlet up` first") }
        let path = list ?? options.installation.path(of: "ledger-heads") + "/erasures.ndjson"
        let file = try RecallFile(path: path)
        if file.isCutOff { print("the last line of \(path) was cut off, and is left out") }
        for line in file.unread {
            print("line \(line) of \(path) does not read, and is left out: look at it")
        }
        var needsSomebody = !file.unread.isEmpty
        let url = options.installation.url(of: .consent)
        let wait = noWait ? nil : Duration.seconds(within)
        try await options.withDatabase { pool in
            try await APIClient.with { api in
                let restoration = Restoration(api: api, consent: url, key: key, pool: pool)
                let isIncomplete = try await restoration.run(file, within: wait) { print($0) }
                needsSomebody = needsSomebody || isIncomplete
            }
        }
        if needsSomebody { throw ExitCode(1) }
    }
}
