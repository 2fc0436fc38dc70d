import HTTPTypes
import IngestionDomain
import MarkedYAML
import Models
import ServiceKit

/// A mapping that a person wrote, in one of the forms that are taken: JSON or YAML.
struct MappingText: Sendable {
    /// Deeper than any mapping that means something.
    private static let depth = 64
    /// Longer than any mapping that a person can oversee.
    static let textBytes = 256 << 10

    /// Throws where a mapping means nothing.
    let check: @Sendable (JSON) throws(InvalidMapping) -> Void

    /// Mappings of webhooks.
    static let ofWebhook = MappingText { json throws(InvalidMapping) in _ = try WebhookMapping(json: json) }
    /// Mappings of files.
    static let ofImport = MappingText { json throws(InvalidMapping) in _ = try ImportMapping(json: json) }

    /// The mapping in `mapping`, an object, or `mappingYAML`, a text, proved to mean something; nil where the request
    /// has none. A problem lists every mistake, with its line where the mapping is YAML.
    func read(_ fields: JSONFields) throws -> JSON? {
        switch (fields["mapping"], fields["mappingYAML"]) {
        case (nil, nil): return nil
        case (.some(let json), nil): return try read(json: json)
        case (nil, .some):
            let text = try fields.string("mappingYAML")
            guard text.utf8.count <= Self.textBytes else {
                throw fields.problem("mappingYAML", expected: "a text of at most \(Self.textBytes) bytes")
            }
            return try read(yaml: Array(text.utf8))
        case (.some, .some):
            throw fields.problem("mappingYAML", expected: "absent where there is `mapping`")
        }
    }

    /// The mapping, proved to mean something.
    func read(json: JSON) throws(Problem) -> JSON {
        try check(json) { $0.json }
        return json
    }

    /// The mapping as JSON, proved to mean something.
    func read(yaml: [UInt8]) throws(Problem) -> JSON {
        let node = try Self.node(yaml)
        let json = node.json
        try check(json) { $0.json(at: node.mark(at: $0.path)) }
        return json
    }

    private static func node(_ text: [UInt8]) throws(Problem) -> YAMLNode {
        do throws(YAMLMistake) {
            return try YAMLReader.parse(text, what: "a mapping", depth: depth)
        } catch {
            let mistake = MappingMistake(path: "", expected: error.expected, found: error.found)
            throw problem([mistake.json(at: error.mark)], "line \(error.mark.line): \(mistake)")
        }
    }

    private func check(_ json: JSON, _ described: (MappingMistake) -> JSON) throws(Problem) {
        do throws(InvalidMapping) {
            try check(json)
        } catch {
            throw Self.problem(error.mistakes.map(described), error.mistakes.first?.description)
        }
    }

    private static func problem(_ errors: [JSON], _ detail: String?) -> Problem {
        Problem(
            status: .badRequest, type: "invalid-mapping", title: "The mapping has mistakes", detail: detail,
            extensions: ["errors": .array(errors)])
    }
}

extension MappingMistake {
    fileprivate func json(at mark: YAMLMark) -> JSON {
        var members = json.object ?? [:]
        members["line"] = .integer(Int64(mark.line))
        members["column"] = .integer(Int64(mark.column))
        return .object(members)
    }
}
