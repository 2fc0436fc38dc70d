import Logging
import ServiceKit

/// Takes back what was published for those who watched.
struct RecentItemPruner: Pruner {
    let store: RecentItemStore
    let logger: Logger

    func prune() async throws -> Int { try await store.prune(limit: Self.batch) }
}
