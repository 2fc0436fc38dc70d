package import Models

/// Reads rules, and collects every mistake on the way instead of stopping at the first.
package struct RuleReader {
    private var problems: [RuleProblem] = []
    private var conditions = 0
    private var depth = 0

    /// Reads the rule at `path`, a condition or a text (`RuleText`); throws all that is wrong with it.
    package static func read(_ json: JSON, at path: RulePath = RulePath()) throws(InvalidRule) -> Condition {
        guard let text = json.string else { return try read(written: json, at: path) }
        do { return try RuleText.read(text) } catch {
            throw InvalidRule(
                error.problems.map { problem in
                    let place = problem.position
                    return RuleProblem(
                        path,
                        expected:
                            "a rule: in line \(place.line), column \(place.column) of the text was expected "
                            + problem.expected)
                })
        }
    }

    /// Reads the condition at `path`.
    static func read(written json: JSON, at path: RulePath) throws(InvalidRule) -> Condition {
        var reader = RuleReader()
        let condition = reader.condition(RuleField(json, at: path))
        guard let condition, reader.problems.isEmpty else { throw InvalidRule(reader.problems) }
        return condition
    }

    /// Reads one condition; nil and a noted problem if it is wrong.
    mutating func condition(_ field: RuleField) -> Condition? {
        conditions += 1
        depth += 1
        defer { depth -= 1 }
        guard conditions <= RuleLimits.conditions else {
            if conditions == RuleLimits.conditions + 1 {
                note(field.problem("at most \(RuleLimits.conditions) conditions in a rule"))
            }
            return nil
        }
        guard depth <= RuleLimits.depth else {
            note(field.problem("at most \(RuleLimits.depth) levels of conditions"))
            return nil
        }
        let keys = Condition.readers.map(\.key)
        let expected = "a condition: an object with exactly one of \(keys.joined(separator: ", "))"
        guard let object = field.json.object, object.count == 1, let key = object.keys.first else {
            note(field.problem(expected))
            return nil
        }
        guard let reader = Condition.readers.first(where: { $0.key == key }),
            let payload = field.optional(key)
        else {
            note(RuleProblem(field.path.appending(key), expected: expected))
            return nil
        }
        return reader.read(payload, &self)
    }

    /// Reads the conditions of a group; nil if any of them is wrong.
    mutating func conditions(in field: RuleField) -> [Condition]? {
        guard let array = field.json.array, !array.isEmpty else {
            note(field.problem("a list of at least one condition"))
            return nil
        }
        let read = array.enumerated().map { index, json in
            condition(RuleField(json, at: field.path.appending("\(index)")))
        }
        let sound = read.compactMap { $0 }
        return sound.count == read.count ? sound : nil
    }

    /// Reads a condition without others in it, noting what it throws.
    mutating func leaf(_ read: () throws(RuleProblem) -> Condition) -> Condition? {
        do { return try read() } catch {
            note(error)
            return nil
        }
    }

    /// A rule that is wrong in a thousand places need not say all of them.
    private mutating func note(_ problem: RuleProblem) {
        if problems.count < 50 { problems.append(problem) }
    }
}
