import ArgumentParser
import Foundation
import Models
import Postgres
import ServiceKit

/// `martlet clock`
struct ClockCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "clock",
        abstract: "Tell the installation's time, or move a rehearsal's.",
        discussion: """
            In a rehearsal every process takes its time from the database. Moving it fires every deadline on the
            way, in order, each with everything that follows from it, before the next.

            EXAMPLE:
              martlet clock advance 24h
            """,
        subcommands: [Now.self, Advance.self])

    struct Now: AsyncParsableCommand {
        static let configuration = CommandConfiguration(abstract: "Tell the installation's time.")
        @OptionGroup var options: InstallationOptions

        func run() async throws {
            let now = try await options.withDatabase { pool in
                try await ServiceClock.ofInstallation(pool).now()
            }
            print(now.rfc3339)
        }
    }

    struct Advance: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Let time pass in a rehearsal.",
            discussion: """
                EXAMPLE:
                  martlet clock advance 7d --granularity 1m
                """)
        @OptionGroup var options: InstallationOptions
        @Argument(help: "How much time passes, such as 90s, 24h or 30d; 0s only waits until all is done.")
        var duration: String
        @Option(help: "Steps are rounded up to this; coarser is quicker.") var granularity = "1ms"

        func run() async throws {
            guard let step = Duration(text: duration), step >= .zero else {
                throw ValidationError("\"\(duration)\" is no duration; expected one such as 90s, 24h or 30d")
            }
            let granularity = try granularity.duration("--granularity")
            let (now, steps) = try await options.withDatabase { pool in
                var advancer = try await ClockAdvancer(pool: pool)
                advancer.granularity = granularity
                let target = try await advancer.now() + step
                let steps = try await advancer.advance(
                    to: target,
                    waiting: { StandardError.write("at \($0.now.rfc3339): \($0.waitingFor)\n") })
                return (target, steps)
            }
            print("\(now.rfc3339), in \(steps) steps")
        }
    }
}

/// What is answered, at once also when it goes to a file.
enum StandardOutput {
    static func write(_ text: String) { try? FileHandle.standardOutput.write(contentsOf: Data(text.utf8)) }
}

/// What is said to the person, beside what is answered.
enum StandardError {
    static func write(_ text: String) { try? FileHandle.standardError.write(contentsOf: Data(text.utf8)) }
}
