import Models

/// Leaves the journey: `exit: {reason: not interested}`, or just `exit: {}`.
package struct ExitStep: JourneyStep {
    package static let keyword = "exit"

    private let reason: String

    package init?(_ node: DefinitionNode, _ site: StepSite, _ builder: inout ProgramBuilder) {
        if case .null = node.value {
            reason = Self.keyword
            return
        }
        guard var reader = ObjectReader(node, site.path, builder.log, expected: "`{reason: …}` or nothing")
        else { return nil }
        reason = reader.optionalString("reason", expected: "a text") ?? Self.keyword
        reader.finish()
    }

    package func targets(next: String?) -> [String] { [] }

    package func begin(_ moment: StepMoment) -> StepResult { .exit(reason: reason) }
}
