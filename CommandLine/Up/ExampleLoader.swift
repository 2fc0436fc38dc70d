import Foundation
import MarkedYAML
import Models

/// Puts the definitions of `deploy/examples` into an installation. What is there already is left alone.
struct ExampleLoader {
    let api: APIClient
    let adminKey: String
    let url: @Sendable (ServiceName) -> String
    let directory: String

    /// The purposes that the examples send under.
    static let purposes: [(id: String, name: String, legalBasis: String)] = [
        ("marketing", "Offers and reminders", "consent"),
        ("transactional", "What an order needs", "contract"),
        ("analytics", "How the shop is used", "consent"),
    ]

    /// Where the examples are: as given, in the working directory, or beside the sources of a build.
    static func find(given: String?) throws -> String {
        var candidates = [given, "deploy/examples"].compactMap { $0 }
        if let own = try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe") {
            var parent = URL(fileURLWithPath: own)
            for _ in 0..<5 {
                parent.deleteLastPathComponent()
                candidates.append(parent.appendingPathComponent("deploy/examples").path)
            }
            candidates.append("/usr/share/martlet/examples")
        }
        if given != nil { candidates = Array(candidates.prefix(1)) }
        guard let found = candidates.first(where: { FileManager.default.fileExists(atPath: $0) }) else {
            throw CommandProblem("no examples at \(candidates[0]); give --examples-directory")
        }
        return found
    }

    /// Loads everything; returns a line for each definition put.
    func load() async throws -> [String] {
        var report: [String] = []
        for purpose in Self.purposes {
            let body: JSON = [
                "name": .string(purpose.name), "legalBasis": .string(purpose.legalBasis), "textVersion": "1",
            ]
            report += try await put(
                "purpose", purpose.id, url(.consent) + "/v1/purposes/\(purpose.id)", Array(body.compact.utf8))
        }
        for file in files("templates") {
            report += try await put(
                "template", id(file), url(.delivery) + "/v1/templates/\(id(file))", try json(file))
        }
        // Before the segments that look at them.
        for file in files("scores") {
            report += try await put(
                "score", id(file), url(.segmentation) + "/v1/scores/\(id(file))", try json(file))
        }
        for file in files("computed-traits") {
            report += try await put(
                "computed trait", id(file), url(.segmentation) + "/v1/computed-traits/\(id(file))",
                try json(file))
        }
        report += try await putStages()
        for file in files("segments") {
            report += try await put(
                "segment", id(file), url(.segmentation) + "/v1/segments/\(id(file))", try json(file))
        }
        for file in files("journeys") {
            guard let data = FileManager.default.contents(atPath: file) else { continue }
            let type = file.hasSuffix(".json") ? "application/json" : "application/yaml"
            report += try await put(
                "journey", id(file), url(.journeys) + "/v1/journeys/\(id(file))", Array(data),
                contentType: type)
        }
        return report
    }

    /// The journey stages, unless there are some.
    private func putStages() async throws -> [String] {
        let file = "\(directory)/stages.json"
        guard FileManager.default.fileExists(atPath: file) else { return [] }
        let address = url(.segmentation) + "/v1/stages"
        let present = try await api.send("GET", address, as: .bearer(adminKey))
        guard present.status == 200, present.json?["version"]?.integer == 0 else { return [] }
        let answer = try await api.send("PUT", address, as: .bearer(adminKey), body: try json(file))
        guard (200..<300).contains(answer.status) else {
            throw CommandProblem("the example stages were refused: \(answer.problem)")
        }
        return ["stages"]
    }

    private func files(_ kind: String) -> [String] {
        let names = (try? FileManager.default.contentsOfDirectory(atPath: "\(directory)/\(kind)")) ?? []
        return names.filter { $0.hasSuffix(".json") || $0.hasSuffix(".yaml") }.sorted()
            .map { "\(directory)/\(kind)/\($0)" }
    }

    private func id(_ file: String) -> String {
        URL(fileURLWithPath: file).deletingPathExtension().lastPathComponent
    }

    /// A JSON file as it is, a YAML file turned into JSON.
    private func json(_ file: String) throws -> [UInt8] {
        guard let data = FileManager.default.contents(atPath: file) else {
            throw CommandProblem("cannot read \(file)")
        }
        if file.hasSuffix(".json") { return Array(data) }
        let document = try YAMLFile.node(Array(data), file: file, what: "a definition")
        return Array(document.json.compact.utf8)
    }

    private func put(
        _ kind: String, _ id: String, _ url: String, _ body: [UInt8], contentType: String = "application/json"
    ) async throws -> [String] {
        let present = try await api.send("GET", url, as: .bearer(adminKey))
        if present.status == 200 { return [] }
        let answer = try await api.send(
            "PUT", url, as: .bearer(adminKey), body: body, contentType: contentType)
        guard (200..<300).contains(answer.status) else {
            throw CommandProblem("the example \(kind) \(id) was refused: \(answer.problem)")
        }
        return ["\(kind) \(id)"]
    }
}
