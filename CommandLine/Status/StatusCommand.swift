import ArgumentParser
import Models
import Postgres

/// `martlet status`
struct StatusCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "status",
        abstract: "Tell what runs where and what is in it.",
        discussion: """
            Ends with status 1 when a service is not ready.

            EXAMPLE:
              martlet status --wait 60
            """)

    @OptionGroup var options: InstallationOptions
    @Option(help: "Wait up to so many seconds until everything is ready.") var wait: Int?
    @Flag(help: "Say nothing; the exit status tells.") var quiet = false
    @Flag(help: "Answer in JSON.") var json = false

    func run() async throws {
        let installation = options.installation
        if let wait { try await self.wait(installation, limit: .seconds(wait)) }
        let (entries, allReady) = try await APIClient.with { api in
            var entries: [RunningEntry] = []
            for service in ServiceName.deployed {
                let known = installation.services().first { $0.service == service }
                let url = installation.url(of: service)
                let obstacle = await ReadinessProbe(api: api).obstacle(url)
                entries.append(
                    RunningEntry(
                        service: service, url: url, pid: known?.pid ?? 0,
                        state: obstacle == nil ? "ready" : "not ready", restarts: known?.restarts ?? 0))
            }
            return (entries, entries.allSatisfy { $0.state == "ready" })
        }
        if !quiet {
            let summary = try await options.withDatabase { try await PlatformSummary.read($0) }
            if json {
                var answer = summary.json.object ?? [:]
                answer["services"] = .array(
                    entries.map {
                        [
                            "service": .string($0.service.rawValue), "url": .string($0.url),
                            "pid": .integer(Int64($0.pid)), "state": .string($0.state),
                            "restarts": .integer(Int64($0.restarts)),
                        ]
                    })
                print(JSON.object(answer).compact)
            } else {
                print(StatusTable.text(entries))
                print("")
                print(summary.text)
            }
        }
        if !allReady { throw ExitCode(1) }
    }

    /// Waits until `martlet up` has said that everything is there.
    private func wait(_ installation: InstallationDirectory, limit: Duration) async throws {
        let deadline = ContinuousClock.now + limit
        while !installation.isReady {
            guard ContinuousClock.now < deadline else {
                throw CommandProblem("`martlet up` did not get everything ready within \(limit.text)")
            }
            try await Task.sleep(for: .milliseconds(100))
        }
    }
}

/// `martlet drain`
struct DrainCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "drain",
        abstract: "Wait until everything that was accepted is processed, then tell what there is.",
        discussion: """
            EXAMPLE:
              martlet drain --patience 5m
            """)

    @OptionGroup var options: InstallationOptions
    @Option(help: "Give up when nothing moves for this long.") var patience = "2m"
    @Flag(help: "Answer in JSON.") var json = false

    func run() async throws {
        let patience = try patience.duration("--patience")
        let summary = try await options.withDatabase { pool in
            _ = try await PlatformObserver(pool: pool).drained(patience: patience) { look in
                StandardError.write("waiting: \(look.waitingFor)\n")
            }
            return try await PlatformSummary.read(pool)
        }
        print(json ? summary.json.compact : summary.text)
    }
}
