import Foundation
import IngestionDomain
import ServiceKit

/// The bytes of a file on this machine in pieces, unpacked where it is packed with gzip.
final class LocalFile {
    private let handle: FileHandle
    private let name: String
    private var gzip: GzipReader?
    private var isKnown = false

    init(path: String) throws {
        name = path
        guard let handle = FileHandle(forReadingAtPath: path) else {
            throw CommandProblem("cannot read \(path): expected a CSV or NDJSON file, or one packed as .gz")
        }
        self.handle = handle
    }

    deinit { try? handle.close() }

    /// The next piece; nil at the end.
    func next() throws -> [UInt8]? {
        while true {
            if let gzip, let piece = try unpack(gzip) { return piece }
            guard let data = try handle.read(upToCount: 256 << 10), !data.isEmpty else {
                guard gzip?.isWhole ?? true else { throw notGzip }
                return nil
            }
            let bytes = [UInt8](data)
            if !isKnown {
                isKnown = true
                if GzipReader.isGzip(bytes) { gzip = try GzipReader() }
            }
            guard let gzip else { return bytes }
            gzip.append(bytes)
        }
    }

    private func unpack(_ gzip: GzipReader) throws -> [UInt8]? {
        do { return try gzip.next() } catch { throw notGzip }
    }

    private var notGzip: CommandProblem {
        CommandProblem("\(name) does not unpack: expected a whole gzip file")
    }
}

/// What can be known of a file without an installation.
struct LocalReading {
    let path: String
    let definition: ImportDefinition

    /// The first pass.
    func survey(withCatalog: Bool) throws -> FileSurvey? {
        guard let mapping = definition.mapping else { return nil }
        var survey = FileSurvey(mapping, format: definition.format, withCatalog: withCatalog)
        let file = try LocalFile(path: path)
        return try placing {
            while let piece = try file.next() { try survey.append(piece) }
            try survey.finish()
            return survey
        }
    }

    /// What the file would come to, before anybody judges its events.
    func rehearse(_ survey: FileSurvey?) throws -> ImportReport {
        var report = ImportReport()
        var cutter = BatchCutter(ImportReading(definition, survey: survey))
        let file = try LocalFile(path: path)
        func take() throws {
            while let batch = try cutter.next() { report.add(batch) }
        }
        return try placing {
            while let piece = try file.next() {
                cutter.append(piece)
                try take()
            }
            cutter.finish()
            try take()
            return report
        }
    }

    private func placing<T>(_ body: () throws -> T) throws -> T {
        do { return try body() } catch let problem as UnreadableFile {
            throw FileProblem(file: path, line: problem.line, message: problem.message)
        }
    }
}
