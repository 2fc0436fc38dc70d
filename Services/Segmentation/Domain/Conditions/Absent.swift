package import Models

/// That something did not happen in a window, or never did if there is none:
/// `{"absent": {"event": "Order Completed", "within": "90d"}}`.
///
/// It is true from the profile's first fact on, and becomes true again exactly when the latest event leaves the
/// window.
package struct Absent: LeafOperator {
    package static let key = "absent"

    package let events: EventSelector
    package let window: Window

    init(_ field: RuleField) throws(RuleProblem) {
        try field.allow(EventSelector.keys + Window.keys)
        events = try EventSelector(field)
        window = try Window(in: field)
    }

    package var interest: Interest { .selectors([events]) }

    package func remember(
        _ event: TrackingEvent, at instant: Instant, decided: Instant, in memory: inout Memory
    ) -> Bool {
        guard events.matches(event) else { return false }
        guard window.contains(instant, at: decided) else { return false }
        let occurrence = Occurrence(at: instant, messageID: event.messageID)
        // Only the latest event matters.
        if let latest = memory.occurrences.last, latest >= occurrence { return false }
        memory.occurrences = [occurrence]
        return true
    }

    package func holds(_ memory: Memory, at instant: Instant) -> Bool {
        guard let latest = memory.occurrences.last else { return true }
        return window.end(of: latest.at) <= instant
    }

    package func nextChange(_ memory: Memory, after instant: Instant) -> Instant? {
        guard let latest = memory.occurrences.last else { return nil }
        let end = window.end(of: latest.at)
        return end > instant ? end : nil
    }

    package func explain(_ memory: Memory, at instant: Instant) -> Explanation {
        Explanation(
            condition: .object([Self.key: json]), holds: holds(memory, at: instant), text: text,
            events: memory.occurrences)
    }

    package var text: String { "did not do \(events.name)\(window.text)\(events.filterText)" }

    package var json: JSON {
        .object(events.members.merging(window.members) { $1 })
    }
}
