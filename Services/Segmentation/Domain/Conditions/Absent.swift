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

    package var keeps: String? { events.isTimed ? latest() : nil }
    package var interest: Interest { .selectors([events]) }

    package func remember(
        _ event: TrackingEvent, at instant: Instant, decided: Instant, in memory: inout Memory
    ) -> Bool {
        guard let spans = events.spans(of: event), window.contains(instant, at: decided) else { return false }
        let occurrence = Occurrence(event, at: instant, spans: spans)
        if events.isTimed {
            memory.forget(before: decided, window: window)
            let isNew = memory.insert(occurrence)
            memory.keep()
            return isNew
        }
        // Only the latest event matters.
        if let latest = memory.occurrences.last, latest >= occurrence { return false }
        memory.occurrences = [occurrence]
        return true
    }

    package func holds(_ memory: Memory, at instant: Instant) -> Bool {
        memory.inside(window, at: instant, isTimed: events.isTimed).isEmpty
    }

    package func nextChange(_ memory: Memory, after instant: Instant) -> Instant? {
        memory.nextBoundary(of: window, after: instant, isTimed: events.isTimed)
    }

    package func explain(_ memory: Memory, at instant: Instant) -> Explanation {
        Explanation(
            condition: .object([Self.key: json]), holds: holds(memory, at: instant), text: text,
            events: events.isTimed
                ? Array(memory.inside(window, at: instant, isTimed: true)) : memory.occurrences
        )
        .with(finding(memory, at: instant))
    }

    private func finding(_ memory: Memory, at instant: Instant) -> Finding {
        let inside = memory.inside(window, at: instant, isTimed: events.isTimed)
        guard let latest = inside.last else { return Finding(text: "it did not happen\(window.text)") }
        let ago = "it happened \((instant - latest.at).words) ago"
        let end = window.end(of: latest.at)
        guard end < .distantFuture else { return Finding(text: ago) }
        let missing = end - instant
        return Finding(
            text: "\(ago); \(missing.words) more without it are needed",
            details: ["missing": .string(missing.text)])
    }

    package var text: String { "did not do \(events.name)\(window.text)\(events.filterText)" }

    package var json: JSON {
        .object(events.members.merging(window.members) { $1 })
    }
}
