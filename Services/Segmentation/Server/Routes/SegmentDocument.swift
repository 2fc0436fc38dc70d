import Models
import SegmentationDomain
import ServiceKit

/// A segment as a caller writes it: `{"name": "…", "description": "…", "rule": {…}}`.
struct SegmentDocument {
    var name: String
    var description: String
    var condition: Condition

    /// The largest document: a rule of 500 conditions is far below.
    static let maxBytes = 1 << 20
    private static let nameLength = 200
    private static let descriptionLength = 2_000

    /// Reads a document; a mistake is a 400 that names its path, line and column, and what was expected there.
    init(id: String, text: [UInt8]) throws(Problem) {
        let json: JSON
        do { json = try JSONParser.parse(text) } catch {
            let place = TextPosition(of: error.offset, in: text)
            throw .badRequest(
                "the body is not JSON: \(error.message), in line \(place.line), column \(place.column)",
                type: "invalid-json",
                errors: [
                    [
                        "path": "", "expected": .string(error.message), "line": .integer(Int64(place.line)),
                        "column": .integer(Int64(place.column)),
                    ]
                ])
        }
        var problems: [RuleProblem] = []
        let field = RuleField(json)
        name = id
        description = ""
        do {
            try field.allow(["name", "description", "rule"])
            name = try Self.text(field.optional("name"), upTo: Self.nameLength) ?? id
            description = try Self.text(field.optional("description"), upTo: Self.descriptionLength) ?? ""
        } catch { problems.append(error) }
        let condition: Condition?
        do {
            let rule = try field.required("rule", "a condition")
            condition = try Self.rule(rule, &problems)
        } catch {
            condition = nil
            problems.append(error)
        }
        guard let condition, problems.isEmpty else { throw Self.problem(problems, in: text) }
        self.condition = condition
    }

    private static func text(_ field: RuleField?, upTo length: Int) throws(RuleProblem) -> String? {
        guard let field else { return nil }
        guard let text = field.json.string, text.count <= length else {
            throw field.problem("text of up to \(length) characters")
        }
        return text
    }

    private static func rule(_ field: RuleField, _ problems: inout [RuleProblem]) throws(RuleProblem)
        -> Condition?
    {
        do { return try RuleReader.read(field.json, at: field.path) } catch {
            problems += error.problems
            return nil
        }
    }

    /// A 400 that names each mistake with its place in the body.
    static func problem(_ problems: [RuleProblem], in text: [UInt8]) -> Problem {
        let errors = problems.map { problem -> JSON in
            let place = TextPosition(of: problem.path, in: text)
            return [
                "path": .string(problem.path.description), "expected": .string(problem.expected),
                "line": .integer(Int64(place.line)), "column": .integer(Int64(place.column)),
            ]
        }
        let first = problems.first.map { "`\($0.path)` is not \($0.expected)" } ?? ""
        return .badRequest(
            problems.count > 1 ? "\(first); and \(problems.count - 1) more" : first, type: "invalid-segment",
            errors: errors)
    }
}
