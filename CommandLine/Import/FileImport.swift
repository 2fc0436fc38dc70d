import Foundation
import IngestionDomain
import Models

/// Brings a whole file into an installation, as an import of its API.
struct FileImport {
    let path: String
    let definition: ImportDefinition
    let mappingText: [UInt8]?
    let name: String
    let client: ImportClient
    let sourceID: String
    let catalog: CatalogSender?
    let resumePath: String
    let shiftToNow: Bool

    /// Looks this far into a file for a preview.
    private static let previewBytes: Int64 = 8 << 20

    private func identity() throws -> ResumeFile.Identity {
        let attributes = try FileManager.default.attributesOfItem(atPath: path)
        return ResumeFile.Identity(
            file: URL(fileURLWithPath: path).standardizedFileURL.path,
            bytes: Int64(attributes[.size] as? Int ?? 0),
            modified: (attributes[.modificationDate] as? Date)?.timeIntervalSince1970 ?? 0,
            mapping: StableHash.hash64(
                String(decoding: mappingText ?? [], as: UTF8.self), definition.format.rawValue,
                "\(shiftToNow)"),
            target: client.url, source: sourceID)
    }

    private func newImport(bytes: Int64) -> JSON {
        var members: [String: JSON] = [
            "name": .string(name), "sourceId": .string(sourceID),
            "format": .string(definition.format.rawValue), "shiftToNow": .bool(shiftToNow),
            "expectedBytes": .integer(bytes),
        ]
        members["mappingYAML"] = mappingText.map { .string(String(decoding: $0, as: UTF8.self)) }
        return .object(members)
    }

    /// What ingestion would make of the first rows. The import that it takes is deleted again.
    func preview() async throws -> JSON {
        let identity = try identity()
        let id = try await client.create(newImport(bytes: identity.bytes), key: UUID().uuidString)
        do {
            try await client.upload(path, to: id, from: 0, limit: Self.previewBytes) { _ in }
            let preview = try await client.act("preview", on: id)
            try await client.delete(id)
            return preview
        } catch {
            try? await client.delete(id)
            throw error
        }
    }

    /// Does what an earlier run has not, and returns what became of the file.
    func run() async throws -> ImportReport {
        let identity = try identity()
        guard identity.bytes > 0 else {
            throw FileProblem(file: path, line: 1, message: "the file is empty")
        }
        var resume = try await resumed(identity)
        let id: String
        if let known = resume.importID {
            id = known
        } else {
            try resume.write(path: resumePath)
            id = try await client.create(newImport(bytes: identity.bytes), key: resume.key)
            resume.importID = id
            try resume.write(path: resumePath)
        }
        try await sendCatalog(&resume)
        try await upload(id, identity)
        let ended = try await follow(id)
        guard ended["state"]?.string == "done" else {
            try? FileManager.default.removeItem(atPath: resumePath)
            let why = ended["failure"]?.string ?? "the import \(id) is \(ended["state"]?.string ?? "gone")"
            throw CommandProblem("\(path): \(why)")
        }
        let report = try await client.report(id)
        try? FileManager.default.removeItem(atPath: resumePath)
        return report
    }

    /// Where an earlier run has left off; a new beginning when that import has come to nothing.
    private func resumed(_ identity: ResumeFile.Identity) async throws -> ResumeFile {
        let new = ResumeFile(identity: identity, key: UUID().uuidString)
        guard let found = ResumeFile.read(path: resumePath, identity: identity) else { return new }
        guard let id = found.importID else { return found }
        let state = try await client.get(id)?["state"]?.string
        guard let state, state != "failed", state != "cancelled" else { return new }
        StandardError.write("going on with the import \(id), which is \(state)\n")
        return found
    }

    private func sendCatalog(_ resume: inout ResumeFile) async throws {
        guard let catalog, definition.mapping?.catalog != nil, !resume.catalogDone else { return }
        let survey = try LocalReading(path: path, definition: definition).survey(withCatalog: true)
        let (accepted, refused) = try await catalog.send(survey?.catalog?.json ?? [])
        StandardError.write("catalog: \(accepted) items, \(refused.count) refused\n")
        for reason in refused.prefix(20) { StandardError.write("  \(reason)\n") }
        resume.catalogDone = true
        try resume.write(path: resumePath)
    }

    private func upload(_ id: String, _ identity: ResumeFile.Identity) async throws {
        guard let now = try await client.get(id), now["state"]?.string == "draft" else { return }
        let progress = ImportProgress("uploaded")
        try await client.upload(path, to: id, from: now["storedBytes"]?.integer ?? 0) { done in
            await progress.advance(to: done, of: identity.bytes)
        }
        await progress.finish()
        _ = try await client.act("run", on: id)
    }

    /// Waits until an import has ended, and returns it.
    private func follow(_ id: String) async throws -> JSON {
        let progress = ImportProgress("imported")
        var pause = Duration.milliseconds(100)
        while true {
            guard let now = try await client.get(id) else {
                throw CommandProblem("the import \(id) was deleted meanwhile")
            }
            switch now["state"]?.string {
            case "running":
                let rows = now[path: "rows.read"]?.integer ?? 0
                let rate = now["eventsPerSecond"]?.integer ?? 0
                await progress.advance(
                    to: now["readBytes"]?.integer ?? 0, of: now["storedBytes"]?.integer ?? 0,
                    note: "\(rows) rows, \(rate) events/s")
            case "paused": client.waiting("the import \(id) is paused; POST /v1/imports/\(id)/resume")
            default:
                await progress.finish()
                return now
            }
            try await Task.sleep(for: pause)
            pause = min(pause * 2, .seconds(1))
        }
    }
}
