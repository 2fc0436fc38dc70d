import Models

/// A condition about when one event happened: the first of its kind, or the latest.
protocol OneTimeOperator: LeafOperator {
    var events: EventSelector { get }
    var test: TimeTest { get }
    /// Whether an event takes the place of the one that is known.
    static func isBetter(_ occurrence: Occurrence, than known: Occurrence) -> Bool
}

extension OneTimeOperator {
    static func read(_ field: RuleField) throws(RuleProblem) -> (EventSelector, TimeTest) {
        try field.allow(EventSelector.keys + TimeTest.keys)
        let events = try EventSelector(field)
        guard !events.isTimed else { throw field.problem("without times relative to the present") }
        return (events, try TimeTest(in: field))
    }

    package var keeps: String? { nil }
    package var interest: Interest { .selectors([events]) }

    package func remember(
        _ event: TrackingEvent, at instant: Instant, decided: Instant, in memory: inout Memory
    ) -> Bool {
        guard events.matches(event) else { return false }
        let occurrence = Occurrence(event, at: instant)
        if let known = memory.occurrences.first, !Self.isBetter(occurrence, than: known) { return false }
        memory.occurrences = [occurrence]
        return true
    }

    package func holds(_ memory: Memory, at instant: Instant) -> Bool {
        memory.occurrences.first.map { test.spans(of: $0.at).contains(instant) } ?? false
    }

    package func nextChange(_ memory: Memory, after instant: Instant) -> Instant? {
        memory.occurrences.first.flatMap { test.spans(of: $0.at).nextBoundary(after: instant) }
    }

    package func explain(_ memory: Memory, at instant: Instant) -> Explanation {
        var details: [String: JSON] = [:]
        if let known = memory.occurrences.first { details["elapsed"] = .string((instant - known.at).text) }
        return Explanation(
            condition: .object([Self.key: json]), holds: holds(memory, at: instant), text: text,
            events: memory.occurrences, details: details
        )
        .with(
            memory.occurrences.first.map { test.finding($0.at, at: instant) }
                ?? Finding(text: "it never happened"))
    }

    package var text: String { "\(Self.key) \(events.name) was\(test.text)\(events.filterText)" }

    package var json: JSON { .object(events.members.merging(test.members) { $1 }) }
}
