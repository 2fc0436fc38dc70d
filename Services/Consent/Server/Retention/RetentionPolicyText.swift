import MarkedYAML
import Models
import ServiceKit

/// Reads a retention policy as people write it, in YAML or JSON. The first mistake ends the reading, and is told with its
/// place.
enum RetentionPolicyText {
    static let maxBytes = 256 << 10

    /// `purposes` are those that the consent policy has.
    static func read(_ bytes: [UInt8], purposes: Set<String>) throws(Problem) -> RetentionPolicy {
        let root: YAMLNode
        do throws(YAMLMistake) {
            root = try YAMLReader.parse(bytes, what: "a retention policy", depth: 6)
        } catch {
            throw problem(
                error.mark, path: "", "expected \(error.expected), found \(error.found)", error.expected)
        }
        do throws(DecodingProblem) {
            let policy = try RetentionPolicy(json: root.json)
            if let unknown = policy.purposes.keys.sorted().first(where: { !purposes.contains($0) }) {
                let path = "keep.timelineEvents.purposes.\(unknown)"
                throw DecodingProblem(
                    path: path, expected: "a purpose of the consent policy",
                    message: "\(path) must be a purpose of the consent policy")
            }
            return policy
        } catch {
            throw problem(root.mark(at: error.path), path: error.path, error.message, error.expected)
        }
    }

    private static func problem(
        _ mark: YAMLMark, path: String, _ message: String, _ expected: String
    ) -> Problem {
        .badRequest(
            "retention:\(mark.line):\(mark.column): \(message)", type: "invalid-retention-policy",
            errors: [
                [
                    "line": .integer(Int64(mark.line)), "column": .integer(Int64(mark.column)),
                    "path": .string(path), "expected": .string(expected),
                ]
            ])
    }
}
