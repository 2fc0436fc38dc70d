import Logging
import ServiceLifecycle

/// Gives back, now and then, the room of rows that count for nothing any more.
protocol Pruner: Service {
    var logger: Logger { get }

    /// Deletes some rows, at most ``batch``, and returns how many.
    func prune() async throws -> Int
}

extension Pruner {
    /// Rows in one statement.
    static var batch: Int { 10_000 }

    func run() async throws {
        await cancelWhenGracefulShutdown { await loop() }
    }

    private func loop() async {
        while !Task.isCancelled {
            do {
                while try await prune() == Self.batch {}
            } catch {
                if Task.isCancelled { return }
                logger.debug(
                    "old rows are not pruned; trying again",
                    metadata: ["pruner": "\(Self.self)", "error": "\(error)"])
            }
            try? await Task.sleep(for: .seconds(600))
        }
    }
}
