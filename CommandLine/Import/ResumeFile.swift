import Foundation

/// How far an import has come, so that it goes on there after an interruption. Sending a part again would
/// double nothing; this only saves the time.
struct ResumeFile: Codable, Sendable, Equatable {
    /// What the state is about; another file, mapping or target starts from the beginning.
    struct Identity: Codable, Sendable, Equatable {
        let file: String
        let bytes: Int
        let modified: Double
        let mapping: UInt64
        let target: String
    }

    let identity: Identity
    /// Kept, so that every event of the file is shifted alike.
    let shiftMilliseconds: Int64
    var catalogDone = false
    /// How many groups, in the order in which they end, are done with.
    var groupsDone = 0
    var counts = ImportCounts()

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
