import Models
import SegmentationDomain
import ServiceKit

/// What the definitions that callers write have in common.
enum WrittenDefinition {
    /// The largest document: a rule of 500 conditions is far below.
    static let maxBytes = 1 << 20
    private static let nameLength = 200
    private static let descriptionLength = 2_000

    static let names = AskedNames(comparisons: Comparison.keys)

    /// The body; 403 where the caller is shown pseudonyms and a rule in it asks for people by what names them.
    static func text(of request: ServiceRequest) async throws -> [UInt8] {
        let text = try await request.body(maxBytes: maxBytes)
        // What is not JSON is said where it is read.
        if !request.caller.seesIdentifiers, let json = try? JSONParser.parse(text) {
            try request.refuseNames(in: spelledOut(json), names)
        }
        return text
    }

    /// With rules that are written as texts as what they say.
    private static func spelledOut(_ json: JSON) -> JSON {
        switch json {
        case .object(let members):
            var spelled = members.mapValues(spelledOut)
            if let rule = members["rule"], rule.string != nil, let read = try? RuleReader.read(rule) {
                spelled["rule"] = read.json
            }
            return .object(spelled)
        case .array(let elements): return .array(elements.map(spelledOut))
        default: return json
        }
    }

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
