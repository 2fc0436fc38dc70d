package import Models

/// Waits for a time, `wait: {for: 1h}`, or for an event but no longer than a time,
/// `wait: {untilEvent: Email Opened, where: […], timeout: 24h}`.
package struct WaitStep: JourneyStep {
    package static let keyword = "wait"
    private static let lengths = Duration.seconds(1)...Duration.days(3650)

    private let length: Duration
    private let event: EventPattern?

    package init?(_ node: DefinitionNode, _ site: StepSite, _ builder: inout ProgramBuilder) {
        let log = builder.log
        let expected = "`{for: 1h}` or `{untilEvent: …, timeout: 24h}`"
        guard var reader = ObjectReader(node, site.path, log, expected: expected) else { return nil }
        let timed = reader.optional("for") != nil
        let awaited = reader.optional("untilEvent") != nil
        var length: Duration?
        var event: EventPattern?
        switch (timed, awaited) {
        case (true, false): length = reader.duration("for", in: Self.lengths)
        case (false, true):
            event = EventPattern(&reader, name: "untilEvent")
            length = reader.duration("timeout", in: Self.lengths)
        default:
            log.report(node, site.path, expected: expected, found: timed ? "both" : nil)
            return nil
        }
        reader.finish()
        guard let length, !awaited || event != nil else { return nil }
        self.length = length
        self.event = event
    }

    package var waits: Bool { true }

    package var questions: StepQuestions { StepQuestions(awaited: event.map { [$0] } ?? []) }

    package func begin(_ moment: StepMoment) -> StepResult {
        .wait(until: moment.now + length, event.map { ["untilEvent": .string($0.event)] } ?? [:])
    }

    package func notice(_ candidate: TrackingEvent, _ moment: StepMoment) -> StepResult? {
        guard let event, let since = moment.instance.waitingSince, candidate.timestamp >= since,
            candidate.messageID != moment.instance.triggerKey,
            !moment.instance.consumed.contains(candidate.messageID), event.matches(candidate)
        else { return nil }
        return .proceed(.awaitedEvent, ["event": .string(event.event)])
    }

    package func wake(_ moment: StepMoment) -> StepResult {
        event == nil ? .proceed(.waited, [:]) : .proceed(.timedOut, [:])
    }
}
