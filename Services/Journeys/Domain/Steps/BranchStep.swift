import Models

/// Takes the first case whose condition holds, else the default, else goes on:
/// `branch: {cases: [{when: {segment: vip}, then: […]}], default: […]}`.
package struct BranchStep: JourneyStep {
    private struct Case: Sendable {
        var condition: BranchCondition
        var target: String?
    }

    package static let keyword = "branch"

    private let cases: [Case]
    private let otherwise: String?

    package init?(_ node: DefinitionNode, _ site: StepSite, _ builder: inout ProgramBuilder) {
        let log = builder.log
        let expected = "`{cases: [{when: …, then: […]}], default: […]}`"
        guard var reader = ObjectReader(node, site.path, log, expected: expected) else { return nil }
        let written = reader.optionalList("cases", expected: "a list of `{when: …, then: […]}`")
        let otherwise = reader.optional("default")
        reader.finish()
        guard let written, !written.isEmpty else {
            log.report(node, site.path, expected: "at least one case under `cases`", found: "none")
            return nil
        }
        cases = written.enumerated().compactMap { index, element in
            Self.readCase(element.0, element.1, site, number: index + 1, &builder)
        }
        self.otherwise =
            otherwise.map {
                builder.block(
                    $0, path: "\(site.path).default", prefix: "\(site.name).default.", following: site.next)
            } ?? site.next
        guard cases.count == written.count else { return nil }
    }

    private static func readCase(
        _ node: DefinitionNode, _ path: String, _ site: StepSite, number: Int, _ builder: inout ProgramBuilder
    ) -> Case? {
        guard
            var reader = ObjectReader(node, path, builder.log, expected: "a case `{when: …, then: […]}`")
        else { return nil }
        let when = reader.required("when", expected: "a condition")
        let then = reader.required("then", expected: "a list of steps")
        reader.finish()
        let condition = when.flatMap { BranchCondition($0, "\(path).when", builder.log) }
        let target = then.flatMap {
            builder.block(
                $0, path: "\(path).then", prefix: "\(site.name).\(number).", following: site.next)
        }
        return condition.map { Case(condition: $0, target: target) }
    }

    package var questions: StepQuestions {
        StepQuestions(
            happened: cases.compactMap(\.condition.event),
            traits: cases.contains(where: \.condition.asksTrait),
            segments: cases.contains(where: \.condition.asksSegment))
    }

    package func targets(next: String?) -> [String] { (cases.map(\.target) + [otherwise]).compactMap { $0 } }

    package func begin(_ moment: StepMoment) -> StepResult {
        // Every condition that was looked at is evidence, not only the one that held.
        var looked: [JSON] = []
        for (index, candidate) in cases.enumerated() {
            let answer = candidate.condition.answer(moment)
            looked.append(answer.evidence)
            if answer.holds {
                return .jump(
                    to: candidate.target, .branched,
                    ["case": .integer(Int64(index + 1)), "conditions": .array(looked)])
            }
        }
        return .jump(to: otherwise, .branched, ["case": "default", "conditions": .array(looked)])
    }
}
