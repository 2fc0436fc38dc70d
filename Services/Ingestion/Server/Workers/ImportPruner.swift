import Logging
import Models
import ServiceKit

/// Deletes the files of imports that have ended, and ends those that nobody has touched for a week.
struct ImportPruner: Pruner {
    let files: ImportFileStore
    let clock: ServiceClock
    let logger: Logger

    /// For how long a file is kept that nothing becomes of.
    static let patience: Duration = .days(7)

    /// Deletes some pieces of files, and returns how many.
    func prune() async throws -> Int {
        let now = try await clock.now()
        try await files.abandon(before: now - Self.patience, at: now)
        return try await files.deletePieces(limit: Self.batch)
    }
}
