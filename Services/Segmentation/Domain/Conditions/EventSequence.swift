package import Models

/// Events in an order: A, then B within 24 hours; A, and no B within 24 hours after it.
///
///     {"sequence": {"steps": [
///         {"event": "Product Viewed", "atLeast": 3, "in": "48h"},
///         {"event": "Product Added", "within": "24h", "without": {"event": "Product Removed"}},
///         {"not": {"event": "Order Completed"}, "within": "24h"}], "within": "30d"}}
///
/// It holds at T if there are events e₁ … eₘ, one of each step, each later than the one before, all in the window at T.
/// - `within` d: eᵢ comes before d has passed since eᵢ₋₁ (tᵢ < tᵢ₋₁ + d, as an event leaves a window exactly at its end).
/// - `without` X: no X from eᵢ₋₁ to eᵢ, not even at the instant of either, apart from the two themselves.
/// - The first step may be said to happen `atLeast` n times `in` d: e₁ is one that with those before it makes n, less than d
///   after the first of these n. They all are in the window then.
/// - A last step `not` X `within` d: no X other than eₘ from tₘ on before tₘ + d. It holds from tₘ + d on, and what
///   comes at that instant comes too late.
package struct EventSequence: LeafOperator {
    package static let key = "sequence"

    /// What has to happen, after the first.
    struct Step: Hashable, Sendable {
        let events: EventSelector
        /// How long after the step before at most.
        let within: Duration?
        let without: EventSelector?
    }

    /// What must not happen in the end.
    struct End: Hashable, Sendable {
        let events: EventSelector
        let within: Duration
    }

    let first: EventSelector
    /// How often the first has to happen.
    let least: Int
    /// In which time.
    let time: Duration?
    let steps: [Step]
    let end: End?
    package let window: Window
    /// All that is looked for; the places are the numbers of occurrences: first what has to happen, then what must not.
    let selectors: [EventSelector]
    let isTimed: Bool

    package var keeps: String? { latest(RuleLimits.sequenceEvents, of: "the events of its steps") }
    package var lookback: Window { window }
    package var interest: Interest { .selectors(selectors) }

    package func remember(
        _ event: TrackingEvent, at instant: Instant, decided: Instant, in memory: inout Memory
    ) -> Bool {
        guard window.contains(instant, at: decided) else { return false }
        var changed = false
        for (number, selector) in selectors.enumerated() {
            guard let spans = selector.spans(of: event) else { continue }
            if !changed { memory.forget(before: decided, window: window) }
            let occurrence = Occurrence(event, at: instant, spans: spans, number: number)
            if memory.insert(occurrence) { changed = true }
        }
        if changed { memory.keep(RuleLimits.sequenceEvents) }
        return changed
    }

    private func chains(_ memory: Memory, at instant: Instant) -> Chains {
        Chains(self, memory.inside(window, at: instant, isTimed: isTimed))
    }

    package func holds(_ memory: Memory, at instant: Instant) -> Bool {
        chains(memory, at: instant).spans.contains(instant)
    }

    package func nextChange(_ memory: Memory, after instant: Instant) -> Instant? {
        let next = chains(memory, at: instant).spans.nextBoundary(after: instant)
        guard isTimed else { return next }
        let boundaries = memory.occurrences.compactMap { $0.spans?.nextBoundary(after: instant) }
        return (boundaries + (next.map { [$0] } ?? [])).min()
    }

    private func finding(_ chains: Chains, _ ready: Instant?, at instant: Instant, _ holds: Bool) -> Finding {
        if holds { return Finding(text: "it happened") }
        if let ready, ready > instant {
            let missing = ready - instant
            return Finding(
                text: "\(missing.words) without \(end?.events.name ?? "") are missing",
                details: ["missing": .string(missing.text)])
        }
        if chains.reached == steps.count + 1 {
            return Finding(text: end.map { "\($0.events.name) followed" } ?? "it happened")
        }
        let next = chains.reached == 0 ? first.name : steps[chains.reached - 1].events.name
        return Finding(
            text: "\(chains.reached) of \(steps.count + 1) steps; next is \(next)",
            details: ["missing": .integer(Int64(steps.count + 1 - chains.reached))])
    }

    package func explain(_ memory: Memory, at instant: Instant) -> Explanation {
        let chains = chains(memory, at: instant)
        let holds = chains.spans.contains(instant)
        let shown = chains.shown(at: instant)
        var details: [String: JSON] = [
            "reached": .integer(Int64(chains.reached)), "steps": .integer(Int64(steps.count + 1)),
        ]
        if let ready = shown.ready, ready > instant { details["waitsUntil"] = .string(ready.rfc3339) }
        return Explanation(
            condition: .object([Self.key: json]), holds: holds, text: text,
            events: shown.events.map { Occurrence(of: $0) }, essential: shown.chain, details: details
        )
        .with(finding(chains, shown.ready, at: instant, holds))
    }
}
