package import Models

/// How often something happened in a window, or ever if there is none:
/// `{"count": {"event": "Product Viewed", "within": "48h", "atLeast": 4, "sameValueOf": "sku"}}`.
///
/// One of `atLeast`, `atMost`, `exactly`, `between: [low, high]`; `atLeast: 1` if none is said. With `sameValueOf`
/// the events must agree in that property, and only `atLeast` makes sense.
package struct Count: LeafOperator {
    package static let key = "count"
    private static let comparisons = ["atLeast", "atMost", "exactly", "between"]

    package let events: EventSelector
    package let window: Window
    /// The fewest and the most events with which it holds; no most for "at least".
    package let least: Int
    package let most: Int?
    package let sameValueOf: PropertyPath?

    init(_ field: RuleField) throws(RuleProblem) {
        try field.allow(EventSelector.keys + Window.keys + ["sameValueOf"] + Self.comparisons)
        events = try EventSelector(field)
        window = try Window(in: field)
        sameValueOf = try field.optional("sameValueOf").map { field throws(RuleProblem) in
            try PropertyPath(field)
        }
        (least, most) = try Self.times(field)
        if sameValueOf != nil, most != nil || least < 1 {
            throw field.problem("\"atLeast\" of 1 or more together with \"sameValueOf\"")
        }
    }

    private static func times(_ field: RuleField) throws(RuleProblem) -> (Int, Int?) {
        guard comparisons.contains(where: { field.optional($0) != nil }) else { return (1, nil) }
        let (key, operand) = try field.one(of: comparisons)
        switch key {
        case "atLeast": return (try operand.count(0...RuleLimits.count), nil)
        case "atMost": return (0, try operand.count(0...RuleLimits.count))
        case "exactly":
            let times = try operand.count(0...RuleLimits.count)
            return (times, times)
        default:
            let bounds = try operand.elements(2...2, of: "numbers")
            let low = try bounds[0].count(0...RuleLimits.count)
            return (low, try bounds[1].count(low...RuleLimits.count))
        }
    }

    package var interest: Interest { .selectors([events]) }

    package func remember(
        _ event: TrackingEvent, at instant: Instant, decided: Instant, in memory: inout Memory
    ) -> Bool {
        guard let spans = events.spans(of: event) else { return false }
        memory.forget(before: decided, window: window)
        guard window.contains(instant, at: decided) else { return false }
        var changed = false
        if let sameValueOf {
            let values = sameValueOf.values(in: event.properties).prefix(100).map { Self.group($0) }
            for value in Set(values) {
                let occurrence = Occurrence(
                    at: instant, messageID: event.messageID, group: value, spans: spans)
                if memory.insert(occurrence) { changed = true }
                trim(&memory, group: value)
            }
        } else if memory.insert(Occurrence(at: instant, messageID: event.messageID, spans: spans)) {
            changed = true
            // The latest `needed` events decide; what is older can never matter again, unless time brings it back.
            memory.keep(events.isTimed ? RuleLimits.occurrences : needed)
        }
        return changed
    }

    /// The name of a value by which events are kept apart; a long one is cut, and told apart by a hash.
    private static func group(_ value: JSON) -> String {
        let text = value.string ?? value.compact
        guard text.utf8.count > RuleLimits.nameLength else { return text }
        return "\(text.prefix(50))…\(String(StableHash.hash64(text), radix: 16))"
    }

    /// How many events the answer can depend on.
    private var needed: Int { most.map { $0 + 1 } ?? max(1, least) }

    private func trim(_ memory: inout Memory, group: String) {
        if !events.isTimed {
            let own = memory.occurrences.indices.filter { memory.occurrences[$0].group == group }
            if own.count > needed { memory.occurrences.remove(at: own[0]) }
        }
        memory.keep()
    }

    package func holds(_ memory: Memory, at instant: Instant) -> Bool {
        let inside = memory.inside(window, at: instant, isTimed: events.isTimed)
        guard sameValueOf != nil else { return inside.count >= least && inside.count <= most ?? .max }
        return groups(inside).contains { $0.value.count >= least }
    }

    package func nextChange(_ memory: Memory, after instant: Instant) -> Instant? {
        if events.isTimed { return memory.nextBoundary(of: window, after: instant, isTimed: true) }
        guard window.moves else { return nil }
        let inside = memory.inside(window, at: instant, isTimed: events.isTimed)
        guard sameValueOf == nil else {
            // It ends when the last of the values that suffice loses the event it needs.
            return groups(inside).compactMap { end(keeping: least, of: $0.value) }.max()
        }
        let counts = inside.count
        if let most, counts > most { return end(keeping: most + 1, of: Array(inside)) }
        return end(keeping: least, of: Array(inside))
    }

    /// When fewer than `count` of the events are left; nil if there are fewer already.
    private func end(keeping count: Int, of occurrences: [Occurrence]) -> Instant? {
        guard count >= 1, occurrences.count >= count else { return nil }
        return window.end(of: occurrences[occurrences.count - count].at)
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
            events: shown, details: details)
    }

    package var text: String {
        let times =
            switch (least, most) {
            case (1, nil) where sameValueOf == nil: ""
            case (let low, nil): " at least \(Self.times(low))"
            case (0, let high?): " at most \(Self.times(high))"
            case (let low, let high?):
                low == high ? " exactly \(Self.times(low))" : " between \(low) and \(Self.times(high))"
            }
        let same = sameValueOf.map { " with the same \($0.words)" } ?? ""
        return "did \(events.name)\(times)\(same)\(window.text)\(events.filterText)"
    }

    private static func times(_ count: Int) -> String { count == 1 ? "1 time" : "\(count) times" }

    package var json: JSON {
        var members = events.members
        members.merge(window.members) { $1 }
        members["sameValueOf"] = sameValueOf.map { .string($0.text) }
        switch (least, most) {
        case (let low, nil): members["atLeast"] = .integer(Int64(low))
        case (0, let high?): members["atMost"] = .integer(Int64(high))
        case (let low, let high?):
            if low == high {
                members["exactly"] = .integer(Int64(low))
            } else {
                members["between"] = [.integer(Int64(low)), .integer(Int64(high))]
            }
        }
        return .object(members)
    }
}
