package import Foundation
import Glibc
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

/// A file of lines that are on disk when they are written, whoever else writes to it.
package enum DurableFile {
    /// Adds whole lines to the end of the file, which is made, with its directory, where it is not there. All of it is
    /// added or nothing; a stump that a machine left when it went is ended first, so that it swallows nothing.
    package static func append(_ text: String, to file: URL) throws {
        try FileManager.default.createDirectory(
            at: file.deletingLastPathComponent(), withIntermediateDirectories: true)
        let descriptor = open(file.path, O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0o600)
        guard descriptor >= 0 else { throw problem() }
        defer { close(descriptor) }
        // Several instances may have one file. The lock ends with the descriptor.
        guard flock(descriptor, LOCK_EX) == 0 else { throw problem() }
        let length = lseek(descriptor, 0, SEEK_END)
        guard length >= 0 else { throw problem() }
        var last = UInt8(ascii: "\n")
        if length > 0, pread(descriptor, &last, 1, length - 1) != 1 { throw problem() }
        var bytes = Array(text.utf8)
        if last != UInt8(ascii: "\n") { bytes.insert(UInt8(ascii: "\n"), at: 0) }
        do {
            try write(bytes, to: descriptor)
            guard fsync(descriptor) == 0 else { throw problem() }
        } catch {
            ftruncate(descriptor, length)
            throw error
        }
    }

    private static func write(_ bytes: [UInt8], to descriptor: Int32) throws {
        try bytes.withUnsafeBytes { bytes in
            var done = 0
            while done < bytes.count {
                let count = Glibc.write(descriptor, bytes.baseAddress.map { $0 + done }, bytes.count - done)
                if count < 0, errno == EINTR { continue }
                guard count > 0 else { throw problem() }
                done += count
            }
        }
    }

    private static func problem() -> any Error {
        POSIXError(POSIXErrorCode(rawValue: errno) ?? .EIO)
    }
}
