import Models
import Postgres
import SegmentationDomain
import ServiceKit

/// A segment as a caller writes it: `{"name": "…", "description": "…", "rule": {…}}`.
struct SegmentDocument {
    var name: String
    var description: String
    var condition: Condition

    static let maxBytes = WrittenDefinition.maxBytes

    /// Reads a document; a mistake is a 400 that names its path, line and column, and what was expected there.
    init(id: String, text: [UInt8]) throws(Problem) {
        let field = RuleField(try WrittenDefinition.json(text))
        var problems: [RuleProblem] = []
        name = id
        description = ""
        do {
            try field.allow(["name", "description", "rule"])
            name = try WrittenDefinition.name(in: field, id: id)
            description = try WrittenDefinition.description(in: field)
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

    private static func rule(_ field: RuleField, _ problems: inout [RuleProblem]) throws(RuleProblem)
        -> Condition?
    {
        do { return try RuleReader.read(field.json, at: field.path) } catch {
            problems += error.problems
            return nil
        }
    }

    /// The rule with what is written into it of what it names: computed traits, and editions of models.
    /// Who may not see names is refused one that compares with a computed trait of what names people.
    func completed(
        from text: [UInt8], for request: ServiceRequest, in transaction: PostgresTransaction
    ) async throws -> Condition {
        do {
            let condition = try await ComputedTraitRules(transaction).written(
                condition, at: RulePath(["rule"]))
            try request.refuseNames(
                in: ComputedTraitRules.withProperties(condition.json), WrittenDefinition.names)
            return try await EditionRules(transaction).written(condition)
        } catch let error as InvalidRule { throw Self.problem(error.problems, in: text) }
    }

    /// A 400 that names each mistake with its place in the body.
    static func problem(_ problems: [RuleProblem], in text: [UInt8]) -> Problem {
        WrittenDefinition.problem(problems, in: text, type: "invalid-segment")
    }
}
