import Models

/// What ends an instance at once, wherever it is.
package enum ExitRule: Hashable, Sendable {
    case event(EventPattern)
    case segmentExited(String)

    package var event: EventPattern? {
        if case .event(let pattern) = self { pattern } else { nil }
    }

    package var segment: String? {
        if case .segmentExited(let segment) = self { segment } else { nil }
    }
}

extension ExitRule {
    init?(_ node: DefinitionNode, _ path: String, _ log: MistakeLog) {
        let expected = "an exit: `event: …` or `segmentExited: …`"
        guard var reader = ObjectReader(node, path, log, expected: expected) else { return nil }
        let segment = reader.optionalString("segmentExited", expected: "the id of a segment")
        let event = reader.optional("event")
        let rule: ExitRule?
        switch (event, segment) {
        case (.some, nil): rule = EventPattern(&reader, name: "event").map { .event($0) }
        case (nil, .some(let segment)): rule = .segmentExited(segment)
        default:
            log.report(node, path, expected: expected, found: event == nil ? "neither" : "both")
            rule = nil
            _ = reader.optional("where")
        }
        reader.finish()
        guard let rule else { return nil }
        self = rule
    }
}
