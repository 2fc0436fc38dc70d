package import Models

/// That something did not happen within a rolling window, or never did if there is none:
/// `{"absent": {"event": "Order Completed", "within": "90d"}}`.
///
/// It is true from the profile's first fact on, and becomes true again exactly when the latest event leaves the
/// window.
package struct Absent: LeafOperator {
    package static let key = "absent"

    package let events: EventSelector
    package let within: Duration?

    init(_ field: RuleField) throws(RuleProblem) {
        try field.allow(EventSelector.keys + ["within"])
        events = try EventSelector(field)
        within = try field.optional("within")?.window()
    }

    package var interest: Interest { .selectors([events]) }

    package func remember(
        _ event: TrackingEvent, at instant: Instant, decided: Instant, in memory: inout Memory
    ) -> Bool {
        guard events.matches(event) else { return false }
        if let within, Window.end(of: instant, window: within) <= decided { return false }
        let occurrence = Occurrence(at: instant, messageID: event.messageID)
        // Only the latest event matters.
        if let latest = memory.occurrences.last, latest >= occurrence { return false }
        memory.occurrences = [occurrence]
        return true
    }

    package func holds(_ memory: Memory, at instant: Instant) -> Bool {
        guard let latest = memory.occurrences.last else { return true }
        guard let within else { return false }
        return Window.end(of: latest.at, window: within) <= instant
    }

    package func nextChange(_ memory: Memory, after instant: Instant) -> Instant? {
        guard let within, let latest = memory.occurrences.last else { return nil }
        let end = Window.end(of: latest.at, window: within)
        return end > instant ? end : nil
    }

    package func explain(_ memory: Memory, at instant: Instant) -> Explanation {
        Explanation(
            condition: .object([Self.key: json]), holds: holds(memory, at: instant), text: text,
            events: memory.occurrences)
    }

    package var text: String { "did not do \(events.text)" + (within.map { " in \($0.text)" } ?? "") }

    package var json: JSON {
        var members = events.members
        members["within"] = within.map { .string($0.text) }
        return .object(members)
    }
}
