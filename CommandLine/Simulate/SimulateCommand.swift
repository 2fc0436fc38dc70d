import ArgumentParser
import Foundation
import Models
import Postgres
import ServiceKit

/// `martlet simulate`
struct SimulateCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "simulate",
        abstract: "Let simulated shoppers loose on the installation.",
        discussion: """
            People with one to three devices browse, search, fill carts and leave them, buy, log in late, agree to
            marketing or do not, ask support, open mails, click and unsubscribe. The same seed gives the same
            people and the same behaviour.

            In a rehearsal the clock goes with them, from where it stands, and the mails that are sent meanwhile
            are read from the outbox folder. Elsewhere the days lie before the present.

            --truth writes who is who, to compare with what the platform makes of it.

            EXAMPLE:
              martlet simulate --seed 1 --shoppers 24 --days 7 --truth truth.json
            """)

    @OptionGroup var options: InstallationOptions
    @Option(help: "What everything follows from.") var seed: UInt64 = 1
    @Option(help: "How many people.") var shoppers = 24
    @Option(help: "How many days.") var days = 7
    @Option(help: "Where to write the ground truth, JSON.") var truth: String?
    @Option(help: "In a rehearsal, deadlines fire in steps rounded up to this.") var granularity = "1m"
    @Option(help: "The write key; that of the source `web` by default.") var writeKey: String?

    func validate() throws {
        guard (1...100_000).contains(shoppers) else {
            throw ValidationError("--shoppers must be 1 to 100000")
        }
        guard (1...3650).contains(days) else { throw ValidationError("--days must be 1 to 3650") }
    }

    func run() async throws {
        let installation = options.installation
        guard
            let key = writeKey ?? ProcessInfo.processInfo.environment["MARTLET_WRITE_KEY"]
                ?? installation.read(.writeKey)
        else { throw CommandProblem("no write key is known; give --write-key, or start `martlet up` first") }
        let granularity = try granularity.duration("--granularity")
        let started = ContinuousClock.now
        let run = try await options.withDatabase { pool in
            try await APIClient.with { api in
                try await putCatalog(api)
                let clock = try await ServiceClock.ofInstallation(pool)
                let now = try await clock.now()
                let begin = clock.advancesByItself ? now - .days(days) : now
                var run = SimulationRun(
                    api: api, ingestion: installation.url(of: .ingestion), writeKey: key,
                    world: World(seed: seed, shoppers: shoppers, days: days, start: begin))
                let progress = SimulationProgress(start: begin, days: days)
                if clock.advancesByItself {
                    try await run.replay { progress.say($0) }
                } else {
                    var advancer = try await ClockAdvancer(pool: pool)
                    advancer.granularity = granularity
                    try await run.rehearse(with: advancer, outbox: installation.path(of: "outbox")) {
                        progress.say($0)
                    }
                }
                progress.finish()
                return run
            }
        }
        if let truth {
            try Data((run.world.truth.json.compact + "\n").utf8).write(to: URL(fileURLWithPath: truth))
        }
        report(run, took: ContinuousClock.now - started)
        if run.counts.refused > 0 { throw ExitCode(1) }
    }

    private func putCatalog(_ api: APIClient) async throws {
        guard let key = options.installation.read(.adminKey) else { return }
        let sender = CatalogSender(
            api: api, url: options.installation.url(of: .recommendation), apiKey: key,
            waiting: { StandardError.write("waiting: \($0)\n") })
        let result = try await sender.send(SimulatedProduct.catalog.map(\.item))
        for reason in result.refused { StandardError.write("catalog: \(reason)\n") }
    }

    private func report(_ run: SimulationRun, took: Duration) {
        let truth = run.world.truth
        print(
            """
            simulated    \(shoppers) shoppers over \(days) days, seed \(seed), in \(took.components.seconds) s
            sent         \(run.counts.events) events: accepted \(run.counts.accepted), duplicate \
            \(run.counts.duplicate), refused \(run.counts.refused)
            mails        opened \(run.opened), clicked \(run.clicked), unsubscribed \(run.unsubscribed), \
            bought after \(run.bought)
            truth        \(truth.profiles) profiles, \(truth.merges) merges, \(truth.orders.count) orders
            """)
    }
}

/// Tells how far a simulation is.
final class SimulationProgress {
    private let start: Instant
    private let days: Int
    private let onTerminal = isatty(2) == 1
    private var lastDay = -1

    init(start: Instant, days: Int) {
        self.start = start
        self.days = days
    }

    func say(_ now: Instant) {
        let day = Int((now - start).milliseconds / Duration.days(1).milliseconds)
        guard day > lastDay, day < days else { return }
        lastDay = day
        StandardError.write(
            "\(onTerminal ? "\r\u{1B}[K" : "")day \(day + 1) of \(days)\(onTerminal ? "" : "\n")")
    }

    func finish() { if onTerminal { StandardError.write("\r\u{1B}[K") } }
}
