import Foundation

/// Which import of the installation a file is, so that it goes on there after an interruption. Sending a file again would
/// double nothing; this only saves the time.
struct ResumeFile: Codable, Sendable, Equatable {
    /// What the import is of; another file, mapping or target is another import.
    struct Identity: Codable, Sendable, Equatable {
        let file: String
        let bytes: Int64
        let modified: Double
        let mapping: UInt64
        let target: String
        let source: String
    }

    let identity: Identity
    /// Named before the import is made, so that it is made once.
    let key: String
    var importID: String?
    var catalogDone = false

    static func read(path: String, identity: Identity) -> ResumeFile? {
        guard let data = FileManager.default.contents(atPath: path),
            let file = try? JSONDecoder().decode(ResumeFile.self, from: data), file.identity == identity
        else { return nil }
        return file
    }

    func write(path: String) throws {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        try encoder.encode(self).write(to: URL(fileURLWithPath: path), options: .atomic)
    }
}
