package import Models

/// How often something happened for each time that something else did, in one window:
/// `{"ratio": {"of": {"event": "Email Opened"}, "to": {"event": "Email Delivered"}, "within": "30d", "atMost": 0.1}}`.
///
/// It is compared without dividing: a is at least r of b if a ≥ r × b. There must be `toAtLeast` events of `to`, one unless
/// said otherwise; with 0 it compares two counts, so that `greaterThan: 1` is "more often than".
package struct Ratio: LeafOperator {
    package static let key = "ratio"

    package let events: EventSelector
    package let base: EventSelector
    package let window: Window
    package let range: AmountRange
    /// The fewest events of the base.
    package let least: Int

    init(_ field: RuleField) throws(RuleProblem) {
        try field.allow(["of", "to", "toAtLeast"] + Window.keys + AmountRange.keys)
        events = try Self.selector(field.required("of", "what is counted: an object with \"event\""))
        base = try Self.selector(field.required("to", "what it is compared with: an object with \"event\""))
        window = try Window(in: field)
        range = try AmountRange(in: field)
        least = try field.optional("toAtLeast")?.count(0...RuleLimits.count) ?? 1
    }

    private static func selector(_ field: RuleField) throws(RuleProblem) -> EventSelector {
        try field.allow(EventSelector.keys)
        return try EventSelector(field)
    }

    private var isTimed: Bool { events.isTimed || base.isTimed }

    /// Whether the events need not be remembered one by one.
    private var isLasting: Bool { !window.moves && !isTimed }

    package var keeps: String? { isLasting ? nil : latest() }
    package var lookback: Window { window }
    package var interest: Interest { .selectors([events, base]) }

    package func remember(
        _ event: TrackingEvent, at instant: Instant, decided: Instant, in memory: inout Memory
    ) -> Bool {
        guard window.contains(instant, at: decided) else { return false }
        var changed = false
        for (number, selector) in [events, base].enumerated() {
            guard let spans = selector.spans(of: event) else { continue }
            let occurrence = Occurrence(event, at: instant, spans: spans, number: number)
            if memory.insert(occurrence) { changed = true }
        }
        if changed {
            memory.forget(before: decided, window: window)
            if isLasting { memory.tallyUp() } else { memory.keep() }
        }
        return changed
    }

    /// How many of the events, and of the base.
    private struct Counts {
        var events = 0
        var base = 0

        mutating func add(_ occurrence: Occurrence, times sign: Int = 1) {
            if occurrence.number == 1 { base += sign } else { events += sign }
        }
    }

    private func counts(_ memory: Memory, _ inside: ArraySlice<Occurrence>) -> Counts {
        let tally = memory.tally
        let others = Counts(events: (tally?.events ?? 0) - (tally?.base ?? 0), base: tally?.base ?? 0)
        return inside.reduce(into: others) { $0.add($1) }
    }

    private func passes(_ counts: Counts) -> Bool {
        counts.base >= least && range.contains(Int128(counts.events) * 1_000_000, over: counts.base)
    }

    private func inside(_ memory: Memory, at instant: Instant) -> ArraySlice<Occurrence> {
        memory.inside(window, at: instant, isTimed: isTimed)
    }

    package func holds(_ memory: Memory, at instant: Instant) -> Bool {
        passes(counts(memory, inside(memory, at: instant)))
    }

    package func nextChange(_ memory: Memory, after instant: Instant) -> Instant? {
        if isTimed { return memory.nextBoundary(of: window, after: instant, isTimed: true) }
        guard window.moves else { return nil }
        let inside = inside(memory, at: instant)
        var left = counts(memory, inside)
        let now = passes(left)
        for occurrence in inside {
            left.add(occurrence, times: -1)
            if passes(left) != now { return window.end(of: occurrence.at) }
        }
        return nil
    }

    package func explain(_ memory: Memory, at instant: Instant) -> Explanation {
        let inside = inside(memory, at: instant)
        let counts = counts(memory, inside)
        return Explanation(
            condition: .object([Self.key: json]), holds: passes(counts), text: text,
            events: inside.map { Occurrence(of: $0, number: $0.number) }, tally: memory.tally,
            unlisted: .compared,
            details: ["of": .integer(Int64(counts.events)), "to": .integer(Int64(counts.base))]
        )
        .with(finding(counts))
    }

    private func finding(_ counts: Counts) -> Finding {
        guard counts.base >= least else {
            return Times(least: least, most: nil).finding(counts.base, "event", "events")
        }
        guard counts.base > 0 else { return Finding(text: "\(counts.events) to 0") }
        var finding = range.finding(Int128(counts.events) * 1_000_000, over: counts.base)
        finding.text = "\(counts.events) to \(counts.base), which is \(finding.text)"
        return finding
    }

    package var text: String {
        "ratio of \(events.text) to \(base.text) is \(range.text)\(window.text)"
            + (least == 1 ? "" : " among at least \(least)")
    }

    package var json: JSON {
        var members = window.members.merging(range.members) { $1 }
        members["of"] = .object(events.members)
        members["to"] = .object(base.members)
        if least != 1 { members["toAtLeast"] = .integer(Int64(least)) }
        return .object(members)
    }
}
