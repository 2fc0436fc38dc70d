import Models
import SegmentationDomain
import ServiceKit

/// What the definitions that callers write have in common.
enum WrittenDefinition {
    /// The largest document: a rule of 500 conditions is far below.
    static let maxBytes = 1 << 20
    private static let nameLength = 200
    private static let descriptionLength = 2_000

    /// The body as JSON; what is none is a 400 that names the place of the mistake.
    static func json(_ text: [UInt8]) throws(Problem) -> JSON {
        do { return try JSONParser.parse(text) } catch {
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
    }

    /// The member `name`, or else the id.
    static func name(in field: RuleField, id: String) throws(RuleProblem) -> String {
        try text(field.optional("name"), upTo: nameLength) ?? id
    }

    static func description(in field: RuleField) throws(RuleProblem) -> String {
        try text(field.optional("description"), upTo: descriptionLength) ?? ""
    }

    private static func text(_ field: RuleField?, upTo length: Int) throws(RuleProblem) -> String? {
        guard let field else { return nil }
        guard let text = field.json.string, text.count <= length else {
            throw field.problem("text of up to \(length) characters")
        }
        return text
    }

    /// What a rule says of itself before it is in force.
    static func notices(_ condition: Condition?) -> JSON {
        .array((condition?.notices(at: RulePath(["rule"])) ?? []).map(\.json))
    }

    /// A 400 that names each mistake with its place in the body.
    static func problem(_ problems: [RuleProblem], in text: [UInt8], type: String) -> Problem {
        let errors = problems.map { problem -> JSON in
            let place = TextPosition(of: problem.path, in: text)
            return [
                "path": .string(problem.path.description), "expected": .string(problem.expected),
                "line": .integer(Int64(place.line)), "column": .integer(Int64(place.column)),
            ]
        }
        let first = problems.first.map { "`\($0.path)` is not \($0.expected)" } ?? ""
        return .badRequest(
            problems.count > 1 ? "\(first); and \(problems.count - 1) more" : first, type: type,
            errors: errors)
    }
}

extension ServiceRequest {
    /// Holds `If-Match` and `If-None-Match` to the edition in force, nil if there is none.
    func check(edition: Int64?, of what: String) throws(Problem) {
        let current = edition.map { String($0) }
        if let wanted = ifMatch {
            guard let current, wanted.contains(current) || wanted.contains("*") else {
                throw .preconditionFailed("read the \(what) again; `If-Match` must name its ETag")
            }
        }
        if let unwanted = ifNoneMatch, let current {
            guard !unwanted.contains(current), !unwanted.contains("*") else {
                throw .preconditionFailed("the \(what) exists already")
            }
        }
    }
}
