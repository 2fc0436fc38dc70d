import Models

/// Asks delivery for a message: `send: {template: …, channel: email, purpose: marketing, variables: {…}}`.
/// Whether it goes out is for delivery to decide, with the consent at that moment.
package struct SendStep: JourneyStep {
    package static let keyword = "send"
    private static let channels = ["email"]

    private let template: String
    private let channel: String
    private let purpose: String
    private let variables: [String: JSON]

    package init?(_ node: DefinitionNode, _ site: StepSite, _ builder: inout ProgramBuilder) {
        let log = builder.log
        guard
            var reader = ObjectReader(
                node, site.path, log, expected: "`{template: …, channel: email, purpose: …}`")
        else { return nil }
        let template = reader.string("template", expected: "the id of a template")
        let purpose = reader.string(
            "purpose", expected: "the purpose that consent must cover, such as marketing")
        let channelNode = reader.optional("channel")
        let channel = reader.optionalString("channel", expected: "email") ?? "email"
        if let channelNode, !Self.channels.contains(channel) {
            log.report(channelNode, "\(site.path).channel", expected: "email")
        }
        let variablesNode = reader.optional("variables")
        reader.finish()
        var variables: [String: JSON] = [:]
        if let variablesNode {
            guard let members = variablesNode.json.object else {
                log.report(variablesNode, "\(site.path).variables", expected: "an object")
                return nil
            }
            for reserved in ["trigger", "journey"] where members[reserved] != nil {
                log.report(
                    variablesNode, "\(site.path).variables.\(reserved)",
                    expected: "another name, because `\(reserved)` is filled in", found: "`\(reserved)`")
            }
            variables = members
        }
        guard let template, let purpose else { return nil }
        self.template = template
        self.channel = channel
        self.purpose = purpose
        self.variables = variables
    }

    package func begin(_ moment: StepMoment) -> StepResult {
        .send(SendOrder(template: template, channel: channel, purpose: purpose, variables: variables))
    }
}
