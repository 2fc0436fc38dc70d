import Foundation

/// The bytes of a file in chunks; a name ending in `.gz` is unpacked by `gzip -dc` on the way.
final class CSVFile {
    private let handle: FileHandle
    private let unpacker: Process?
    private let name: String
    /// Bytes of the packed file are not known while unpacking, so progress counts rows instead.
    private(set) var bytesRead = 0

    init(path: String) throws {
        name = path
        guard FileManager.default.isReadableFile(atPath: path) else {
            throw ImportProblem("cannot read \(path): expected a CSV file, or one packed as .gz")
        }
        if path.hasSuffix(".gz") {
            let process = Process()
            process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
            process.arguments = ["gzip", "-dc", "--", path]
            let output = Pipe()
            process.standardOutput = output
            process.standardError = FileHandle.nullDevice
            try process.run()
            unpacker = process
            handle = output.fileHandleForReading
        } else {
            unpacker = nil
            handle = try FileHandle(forReadingFrom: URL(fileURLWithPath: path))
        }
    }

    /// The next chunk; nil at the end.
    func next() throws -> [UInt8]? {
        guard let data = try handle.read(upToCount: 1 << 18), !data.isEmpty else {
            if let unpacker {
                unpacker.waitUntilExit()
                guard unpacker.terminationStatus == 0 else {
                    throw ImportProblem("\(name) does not unpack: expected a whole gzip file")
                }
            }
            return nil
        }
        bytesRead += data.count
        return [UInt8](data)
    }

    /// Ends reading before the end of the file.
    func close() {
        if let unpacker, unpacker.isRunning { unpacker.terminate() }
        try? handle.close()
    }
}

/// Why an import cannot go on; its text says what to do.
struct ImportProblem: Error, CustomStringConvertible {
    let description: String
    init(_ description: String) { self.description = description }
}
