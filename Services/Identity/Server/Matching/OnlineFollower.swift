import Logging
import Models
import ServiceLifecycle
import Streams

/// Keeps the index of look-ups near the end of the timeline, so that no look-up has much to take in.
struct OnlineFollower: Service {
    let online: OnlineMatching
    let hub: WakeHub
    let logger: Logger
    /// Changes are gathered for so long.
    private static let pace: Duration = .milliseconds(200)

    func run() async throws {
        await cancelWhenGracefulShutdown {
            while !Task.isCancelled {
                let ticket = await hub.ticket([StreamDefinition.profileEvents.channel])
                do {
                    if await online.isBuilt { try await online.catchUp() }
                    try await Task.sleep(for: Self.pace)
                } catch {
                    if Task.isCancelled { return }
                    logger.debug("look-ups of records lag behind", metadata: ["error": "\(error)"])
                    try? await Task.sleep(for: .seconds(1))
                }
                await hub.wait(ticket, upTo: .seconds(30))
            }
        }
    }
}
