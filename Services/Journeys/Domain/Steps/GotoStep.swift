import Models

/// Goes on at a label: `goto: reminder`.
package struct GotoStep: JourneyStep {
    package static let keyword = "goto"

    private let label: String

    package init?(_ node: DefinitionNode, _ site: StepSite, _ builder: inout ProgramBuilder) {
        guard case .string(let label) = node.value else {
            builder.log.report(node, site.path, expected: "the label of a step")
            return nil
        }
        builder.refer(to: label, at: node.mark, path: site.path)
        self.label = label
    }

    package func targets(next: String?) -> [String] { [label] }

    package func begin(_ moment: StepMoment) -> StepResult {
        .jump(to: label, .jumped, ["to": .string(label)])
    }
}
