import ConsentDomain
import MarkedYAML
import Models
import ServiceKit

/// Reads a policy as people write it, in YAML or JSON. The first mistake ends the reading, and is told with its place.
enum ConsentPolicyText {
    static let maxBytes = 1 << 20

    static func read(_ bytes: [UInt8]) throws(Problem) -> ConsentPolicy {
        let root: YAMLNode
        do throws(YAMLMistake) {
            root = try YAMLReader.parse(bytes, what: "a consent policy", depth: 8)
        } catch {
            throw problem(
                error.mark, path: "", "expected \(error.expected), found \(error.found)", error.expected)
        }
        do throws(DecodingProblem) {
            return try ConsentPolicy(json: root.json)
        } catch {
            throw problem(root.mark(at: error.path), path: error.path, error.message, error.expected)
        }
    }

    private static func problem(
        _ mark: YAMLMark, path: String, _ message: String, _ expected: String
    ) -> Problem {
        .badRequest(
            "consent-policy:\(mark.line):\(mark.column): \(message)", type: "invalid-consent-policy",
            errors: [
                [
                    "line": .integer(Int64(mark.line)), "column": .integer(Int64(mark.column)),
                    "path": .string(path), "expected": .string(expected),
                ]
            ])
    }
}
