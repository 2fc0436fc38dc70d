import Logging
import ServiceKit
import ServiceLifecycle
import Streams

/// Works in the background on whatever waits in the database: as soon as it is told of, and again after a while where it was
/// not. What fails is told and tried again.
struct JobLoop {
    let hub: WakeHub
    let logger: Logger
    /// On which channel new work is told of.
    let channel: String
    /// What is said where it fails.
    let complaint: Logger.Message

    /// Takes steps as long as there are some to take, until the service drains. `idle` says how long to wait where nothing is
    /// told.
    func run(
        _ step: @escaping @Sendable () async throws -> Bool,
        idle: @escaping @Sendable () async throws -> Duration = { .seconds(30) }
    ) async {
        await cancelWhenGracefulShutdown {
            while !Task.isCancelled {
                let ticket = await hub.ticket([channel])
                do {
                    while try await step() {}
                    await hub.wait(ticket, upTo: try await idle())
                } catch {
                    if Task.isCancelled { return }
                    logger.warning(complaint, metadata: ["error": "\(error)"])
                    try? await Task.sleep(for: .seconds(1))
                }
            }
        }
    }
}
