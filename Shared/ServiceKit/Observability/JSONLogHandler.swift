import Foundation
import Logging
import Models

/// Writes each log line as one JSON object on standard error.
struct JSONLogHandler: LogHandler {
    var metadata: Logger.Metadata = [:]
    var logLevel: Logger.Level
    private let label: String

    init(label: String, level: Logger.Level) {
        self.label = label
        logLevel = level
    }

    subscript(metadataKey key: String) -> Logger.Metadata.Value? {
        get { metadata[key] }
        set { metadata[key] = newValue }
    }

    func log(event: LogEvent) {
        var line: [String: JSON] = [
            "time": .string(Instant.fromSystemClock().rfc3339), "level": .string(event.level.rawValue),
            "service": .string(label), "message": .string(event.message.description),
        ]
        for (key, value) in metadata.merging(event.metadata ?? [:], uniquingKeysWith: { $1 })
        where line[key] == nil {
            line[key] = .string(value.description)
        }
        if let error = event.error, line["error"] == nil { line["error"] = .string("\(error)") }
        var bytes: [UInt8] = []
        JSON.object(line).write(into: &bytes)
        bytes.append(0x0A)
        // One write per line, so that lines of several threads do not mix.
        bytes.withUnsafeBytes { buffer in
            _ = write(STDERR_FILENO, buffer.baseAddress, buffer.count)
        }
    }
}
