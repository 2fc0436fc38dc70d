package import Models

/// A stage of somebody's journey. One is in the last of the list whose rule holds, so in one at a time.
package struct StageDefinition: Hashable, Sendable {
    /// The most stages.
    package static let limit = 20

    package let id: String
    package let name: String
    package let description: String
    package let condition: Condition

    /// Reads a list of stages in their order: `[{"id": "awareness", "name": "…", "rule": {…}}, …]`; throws all that is
    /// wrong with it.
    package static func list(_ field: RuleField) throws(InvalidRule) -> [StageDefinition] {
        guard let array = field.json.array, array.count <= limit else {
            throw InvalidRule([field.problem("a list of up to \(limit) stages")])
        }
        var stages: [StageDefinition] = []
        var problems: [RuleProblem] = []
        var taken: Set<String> = []
        for (index, json) in array.enumerated() {
            let element = RuleField(json, at: field.path.appending("\(index)"))
            do { stages.append(try StageDefinition(element, taken: taken)) } catch {
                problems += error.problems
            }
            if let id = json["id"]?.string { taken.insert(id) }
        }
        guard problems.isEmpty else { throw InvalidRule(problems) }
        return stages
    }

    private init(_ field: RuleField, taken: Set<String>) throws(InvalidRule) {
        let rule: RuleField
        do throws(RuleProblem) {
            try field.allow(["id", "name", "description", "rule"])
            let expected = "an id that no other stage has: 1 to 64 lower-case letters, digits and hyphens"
            let written = try field.required("id", expected)
            guard let id = written.json.string, SegmentDefinition.isValid(id: id),
                !taken.contains(id)
            else { throw written.problem(expected) }
            self.id = id
            name = try field.optional("name")?.text("a name") ?? id
            description = try Self.description(field.optional("description"))
            rule = try field.required("rule", "a condition")
        } catch { throw InvalidRule([error]) }
        condition = try RuleReader.read(rule.json, at: rule.path)
    }

    private static func description(_ field: RuleField?) throws(RuleProblem) -> String {
        guard let field else { return "" }
        guard let text = field.json.string, text.count <= 2_000 else {
            throw field.problem("text of up to 2000 characters")
        }
        return text
    }

    package var json: JSON {
        [
            "id": .string(id), "name": .string(name), "description": .string(description),
            "rule": condition.json,
        ]
    }

    /// How the stages stand among the segments: for each what its rule remembers, and who is in it.
    package static func definitions(
        _ stages: [StageDefinition], version: Int, since: Instant = .distantPast
    ) -> [SegmentDefinition] {
        let order = stages.map(\.id)
        return stages.flatMap { stage in
            [
                SegmentDefinition(
                    id: SegmentDefinition.key(ofStageRule: stage.id), version: version,
                    condition: stage.condition, since: since),
                SegmentDefinition(
                    id: SegmentDefinition.key(ofStage: stage.id), version: version,
                    condition: .currentStage(CurrentStage(id: stage.id, stages: order)), since: since),
            ]
        }
    }

    /// What is wrong with what the rules name, if these stages are to take the place of those among the segments.
    package static func problems(
        of stages: [StageDefinition], among segments: [SegmentDefinition], at path: RulePath
    ) -> [RuleProblem] {
        let all = segments.filter { !$0.isOfStages } + definitions(stages, version: 0)
        let problems = stages.enumerated().flatMap { index, stage in
            SegmentReferences.problems(
                of: stage.condition, as: SegmentDefinition.key(ofStageRule: stage.id), among: all,
                at: path.appending("\(index)").appending("rule"))
        }
        guard problems.isEmpty, let last = stages.last else { return problems }
        // All of them together may be too much to look at.
        let together = SegmentReferences.problems(
            of: .currentStage(CurrentStage(id: last.id, stages: stages.map(\.id))),
            as: SegmentDefinition.key(ofStage: last.id), among: all)
        return together.prefix(1).map { RuleProblem(path, expected: $0.expected) }
    }
}

extension SegmentDefinition {
    private static let stageMark = "stage:"
    private static let stageRuleMark = "stage-rule:"

    /// What a stage is called among the segments.
    package static func key(ofStage id: String) -> String { stageMark + id }

    /// What the rule of a stage is called among the segments.
    package static func key(ofStageRule id: String) -> String { stageRuleMark + id }

    /// The stage that is called so among the segments; nil for anything else, and for what will be once other rules are in
    /// force.
    package static func stage(ofKey key: String) -> String? {
        key.hasPrefix(stageMark) && segment(ofNext: key) == nil
            ? String(key.dropFirst(stageMark.count)) : nil
    }

    /// The stage whose rule is called so among the segments; nil for anything else.
    static func stage(ofRuleKey key: String) -> String? {
        key.hasPrefix(stageRuleMark) ? String(key.dropFirst(stageRuleMark.count)) : nil
    }

    /// Whether something is remembered under this name that nobody is in.
    static func isMemory(_ key: String) -> Bool {
        key.hasPrefix(scoreMark) || key.hasPrefix(stageRuleMark)
    }

    /// Whether it is a segment, and nothing else that is decided with them.
    package var isSegment: Bool { !isNext && !id.contains(":") }

    /// Whether it belongs to the stages.
    package var isOfStages: Bool { Self.isOfStages(id) }

    /// Whether something is called so among the segments that belongs to the stages.
    package static func isOfStages(_ key: String) -> Bool {
        key.hasPrefix(stageMark) || key.hasPrefix(stageRuleMark)
    }

    /// What callers know it as.
    package static func words(_ key: String) -> String {
        for mark in [stageMark, stageRuleMark] where key.hasPrefix(mark) {
            return "stage \(key.dropFirst(mark.count))"
        }
        return key.hasPrefix(scoreMark) ? "score \(key.dropFirst(scoreMark.count))" : key
    }
}

extension Reference {
    /// What a rule names with it.
    var noun: String {
        switch self {
        case .segment: "a segment"
        case .score: "a score"
        case .stage, .stageRule: "a stage"
        }
    }
}
