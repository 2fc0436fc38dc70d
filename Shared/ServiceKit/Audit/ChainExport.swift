package import Foundation
package import Logging
package import Models
import ServiceLifecycle

/// Writes the signed ends of chains to a file outside of the database, a line each hour in which something came to them.
/// Copied to where nobody of the database reaches it, it is what `martlet verify` compares with.
package struct ChainExport: Service {
    package let signer: ChainSigner
    /// The ends now.
    package let current: @Sendable () async throws -> ChainHeads
    package let file: URL
    package let logger: Logger

    private static let every = Duration.seconds(3_600)

    package init(
        signer: ChainSigner, file: URL, logger: Logger,
        current: @escaping @Sendable () async throws -> ChainHeads
    ) {
        self.signer = signer
        self.file = file
        self.logger = logger
        self.current = current
    }

    package func run() async throws {
        await cancelWhenGracefulShutdown {
            var last: ChainHeads?
            while !Task.isCancelled {
                do {
                    last = try await export(after: last)
                } catch {
                    if Task.isCancelled { return }
                    logger.warning("the ends of a log are not exported", metadata: ["error": "\(error)"])
                }
                try? await Task.sleep(for: Self.every)
            }
        }
    }

    /// Appends a line unless the heads are those of the last one; on disk when it returns.
    package func export(after last: ChainHeads?) async throws -> ChainHeads {
        let heads = try await current()
        if heads.heads.isEmpty || heads.heads == last?.heads { return last ?? heads }
        try DurableFile.append(try signer.sign(heads).compact + "\n", to: file)
        return heads
    }
}

/// A file of lines that are on disk when they are written.
package enum DurableFile {
    /// Adds text to the end of the file, which is made, with its directory, where it is not there.
    package static func append(_ text: String, to file: URL) throws {
        try FileManager.default.createDirectory(
            at: file.deletingLastPathComponent(), withIntermediateDirectories: true)
        if !FileManager.default.fileExists(atPath: file.path) {
            guard FileManager.default.createFile(atPath: file.path, contents: nil) else {
                throw CocoaError(.fileWriteNoPermission)
            }
        }
        let handle = try FileHandle(forWritingTo: file)
        defer { try? handle.close() }
        try handle.seekToEnd()
        try handle.write(contentsOf: Data(text.utf8))
        try handle.synchronize()
    }
}
