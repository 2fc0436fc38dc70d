import HTTPTypes
import IngestionDomain
import MarkedYAML
import Models
import ServiceKit

/// The mapping in a request, in one of the forms that are taken: `mapping`, an object, or `mappingYAML`, a text.
enum WebhookMappingText {
    /// Deeper than any mapping that means something.
    private static let depth = 64
    /// Longer than any mapping that a person can oversee.
    private static let textBytes = 256 << 10

    /// The mapping as JSON, proved to mean something; nil where the request has none. A problem lists every mistake,
    /// with its line where the mapping is YAML.
    static func read(_ fields: JSONFields) throws -> JSON? {
        switch (fields["mapping"], fields["mappingYAML"]) {
        case (nil, nil): return nil
        case (.some(let json), nil):
            try check(json) { $0.json }
            return json
        case (nil, .some):
            let text = try fields.string("mappingYAML")
            guard text.utf8.count <= textBytes else {
                throw fields.problem("mappingYAML", expected: "a text of at most \(textBytes) bytes")
            }
            let node = try node(text)
            let json = node.json
            try check(json) { $0.json(at: node.mark(at: $0.path)) }
            return json
        case (.some, .some):
            throw fields.problem("mappingYAML", expected: "absent where there is `mapping`")
        }
    }

    private static func node(_ text: String) throws(Problem) -> YAMLNode {
        do throws(YAMLMistake) {
            return try YAMLReader.parse(Array(text.utf8), what: "a mapping", depth: depth)
        } catch {
            let mistake = MappingMistake(path: "", expected: error.expected, found: error.found)
            throw problem([mistake.json(at: error.mark)], "line \(error.mark.line): \(mistake)")
        }
    }

    private static func check(_ json: JSON, _ described: (MappingMistake) -> JSON) throws(Problem) {
        do throws(InvalidMapping) {
            _ = try WebhookMapping(json: json)
        } catch {
            throw problem(error.mistakes.map(described), error.mistakes.first?.description)
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
