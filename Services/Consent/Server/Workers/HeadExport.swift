import ConsentDomain
import Foundation
import Logging
import Models
import Postgres
import ServiceKit
import ServiceLifecycle

/// Writes the signed ends of the chains to a file outside of the database, a line each hour in which something came to
/// them. Copied to where nobody of the database reaches it, it is what `martlet verify ledger` compares with.
struct HeadExport: Service {
    let signer: HeadSigner
    let pool: PostgresPool
    let clock: ServiceClock
    let directory: URL
    let logger: Logger

    private static let every = Duration.seconds(3_600)

    /// The file's name within the directory.
    static let name = "ledger-heads.ndjson"

    func run() async throws {
        await cancelWhenGracefulShutdown {
            var last: LedgerHeads?
            while !Task.isCancelled {
                do {
                    last = try await export(after: last)
                } catch {
                    if Task.isCancelled { return }
                    logger.warning("the ends of the ledger are not exported", metadata: ["error": "\(error)"])
                }
                try? await Task.sleep(for: Self.every)
            }
        }
    }

    /// Appends a line unless the heads are those of the last one; on disk when it returns.
    func export(after last: LedgerHeads?) async throws -> LedgerHeads {
        let heads = try await HeadSigner.current(at: try await clock.now(), in: pool)
        if heads.heads.isEmpty || heads.heads == last?.heads { return last ?? heads }
        let line = try signer.sign(heads).compact + "\n"
        try FileManager.default.createDirectory(at: directory, withIntermediateDirectories: true)
        let path = directory.appending(path: Self.name).path
        if !FileManager.default.fileExists(atPath: path) {
            guard FileManager.default.createFile(atPath: path, contents: nil) else {
                throw CocoaError(.fileWriteNoPermission)
            }
        }
        let file = try FileHandle(forWritingTo: URL(filePath: path))
        defer { try? file.close() }
        try file.seekToEnd()
        try file.write(contentsOf: Data(line.utf8))
        try file.synchronize()
        return heads
    }
}
