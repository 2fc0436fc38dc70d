package import Models

/// How often something happened in a window, or ever if there is none:
/// `{"count": {"event": "Product Viewed", "within": "48h", "atLeast": 4, "sameValueOf": "sku"}}`.
///
/// One of `atLeast`, `atMost`, `exactly`, `between: [low, high]`; `atLeast: 1` if none is said. With `sameValueOf`
/// the events must agree in that property, and only `atLeast` makes sense.
package struct Count: LeafOperator {
    package static let key = "count"

    package let events: EventSelector
    package let window: Window
    /// With how many events it holds.
    package let times: Times
    package let sameValueOf: PropertyPath?

    init(_ field: RuleField) throws(RuleProblem) {
        try field.allow(EventSelector.keys + Window.keys + ["sameValueOf"] + Times.keys)
        events = try EventSelector(field)
        window = try Window(in: field)
        sameValueOf = try field.optional("sameValueOf").map { field throws(RuleProblem) in
            try PropertyPath(field)
        }
        times = try Times(in: field, fallback: Times(least: 1, most: nil))
        if sameValueOf != nil, times.most != nil || times.least < 1 {
            throw field.problem("\"atLeast\" of 1 or more together with \"sameValueOf\"")
        }
    }

    package var keeps: String? {
        sameValueOf != nil ? latest(of: "its events with whatever value") : events.isTimed ? latest() : nil
    }
    package var lookback: Window { window }
    package var interest: Interest { .selectors([events]) }

    package func remember(
        _ event: TrackingEvent, at instant: Instant, decided: Instant, in memory: inout Memory
    ) -> Bool {
        guard let spans = events.spans(of: event) else { return false }
        memory.forget(before: decided, window: window)
        guard window.contains(instant, at: decided) else { return false }
        var changed = false
        if let sameValueOf {
            for value in sameValueOf.groups(in: event.properties) {
                let occurrence = Occurrence(event, at: instant, group: value, spans: spans)
                if memory.insert(occurrence) { changed = true }
                trim(&memory, group: value)
            }
        } else if memory.insert(Occurrence(event, at: instant, spans: spans)) {
            changed = true
            // The latest events decide; what is older can never matter again, unless time brings it back.
            memory.keep(events.isTimed ? RuleLimits.occurrences : times.needed)
        }
        return changed
    }

    private func trim(_ memory: inout Memory, group: String) {
        if !events.isTimed {
            let own = memory.occurrences.indices.filter { memory.occurrences[$0].group == group }
            if own.count > times.needed { memory.occurrences.remove(at: own[0]) }
        }
        memory.keep()
    }

    package func holds(_ memory: Memory, at instant: Instant) -> Bool {
        let inside = memory.inside(window, at: instant, isTimed: events.isTimed)
        guard sameValueOf != nil else { return times.contains(inside.count) }
        return groups(inside).contains { $0.value.count >= times.least }
    }

    package func nextChange(_ memory: Memory, after instant: Instant) -> Instant? {
        if events.isTimed { return memory.nextBoundary(of: window, after: instant, isTimed: true) }
        guard window.moves else { return nil }
        let inside = memory.inside(window, at: instant, isTimed: events.isTimed)
        guard sameValueOf == nil else {
            // It ends when the last of the values that suffice loses the event it needs.
            return groups(inside).compactMap { end(keeping: times.least, of: $0.value[...]) }.max()
        }
        let counts = inside.count
        if let most = times.most, counts > most { return end(keeping: most + 1, of: inside) }
        return end(keeping: times.least, of: inside)
    }

    /// When fewer than `count` of the events are left; nil if there are fewer already.
    private func end(keeping count: Int, of occurrences: ArraySlice<Occurrence>) -> Instant? {
        guard count >= 1, occurrences.count >= count else { return nil }
        return window.end(of: occurrences[occurrences.endIndex - count].at)
    }

    private func groups(_ occurrences: ArraySlice<Occurrence>) -> [String: [Occurrence]] {
        Dictionary(grouping: occurrences) { $0.group ?? "" }
    }

    package func explain(_ memory: Memory, at instant: Instant) -> Explanation {
        let inside = memory.inside(window, at: instant, isTimed: events.isTimed)
        var shown = Array(inside)
        if sameValueOf != nil {
            // The value that comes closest is the one worth showing.
            shown = groups(inside).max { ($0.value.count, $1.key) < ($1.value.count, $0.key) }?.value ?? []
        }
        var details: [String: JSON] = ["count": .integer(Int64(shown.count))]
        if let value = shown.first?.group { details["value"] = .string(value) }
        return Explanation(
            condition: .object([Self.key: json]), holds: holds(memory, at: instant), text: text,
            events: shown, details: details
        )
        .with(times.finding(shown.count, "time", "times"))
    }

    package var text: String {
        let isPlain = times == Times(least: 1, most: nil) && sameValueOf == nil
        let often = isPlain ? "" : " \(times.words("time", "times"))"
        let same = sameValueOf.map { " with the same \($0.words)" } ?? ""
        return "did \(events.name)\(often)\(same)\(window.text)\(events.filterText)"
    }

    package var json: JSON {
        var members = events.members.merging(window.members) { $1 }.merging(times.members) { $1 }
        members["sameValueOf"] = sameValueOf.map { .string($0.text) }
        return .object(members)
    }
}
