import Models

/// A condition about the smallest or the greatest value of a property in a window.
///
/// Of the events only those are remembered that can still decide: one that comes before another with a value at least as
/// extreme leaves before it, and never will.
protocol ExtremeOperator: LeafOperator {
    var source: WindowedEvents { get }
    var property: PropertyPath { get }
    var range: AmountRange { get }
    /// Whether a value is at least as extreme as another.
    static func reaches(_ value: Amount, _ other: Amount) -> Bool
}

extension ExtremeOperator {
    static func read(_ field: RuleField) throws(RuleProblem) -> (WindowedEvents, PropertyPath, AmountRange) {
        try field.allow(WindowedEvents.keys + ["property"] + AmountRange.keys)
        let source = try WindowedEvents(field)
        let property = try PropertyPath(field.required("property", "the property to take the \(key) of"))
        return (source, property, try AmountRange(in: field))
    }

    package var keeps: String? { source.window.moves || source.events.isTimed ? latest() : nil }
    package var lookback: Window { source.window }
    package var interest: Interest { .selectors([source.events]) }

    package func remember(
        _ event: TrackingEvent, at instant: Instant, decided: Instant, in memory: inout Memory
    ) -> Bool {
        guard let spans = source.spans(of: event, at: instant, decided: decided),
            let amount = Self.extreme(property.values(in: event.properties).compactMap { Amount($0) })
        else { return false }
        let occurrence = Occurrence(event, at: instant, amount: amount, spans: spans)
        guard !source.events.isTimed else {
            return source.insert(occurrence, decided: decided, into: &memory)
        }
        guard source.window.moves else {
            // Where nothing leaves, the most extreme decides for ever; of several the latest.
            if let best = memory.occurrences.first, let known = best.amount {
                guard known == amount ? best < occurrence : Self.reaches(amount, known) else { return false }
            }
            memory.occurrences = [occurrence]
            return true
        }
        let isOutdone = memory.occurrences.contains {
            !($0 < occurrence) && Self.reaches($0.amount ?? amount, amount)
        }
        if isOutdone { return false }
        memory.occurrences.removeAll { $0 < occurrence && Self.reaches(amount, $0.amount ?? amount) }
        return source.insert(occurrence, decided: decided, into: &memory)
    }

    private static func extreme(_ amounts: [Amount]) -> Amount? {
        amounts.reduce(nil) { best, amount in best.map { reaches($0, amount) ? $0 : amount } ?? amount }
    }

    private func value(_ inside: ArraySlice<Occurrence>) -> Amount? {
        // What is remembered goes down from the front, unless time decides what is meant.
        source.events.isTimed ? Self.extreme(inside.compactMap(\.amount)) : inside.first?.amount
    }

    private func passes(_ value: Amount?) -> Bool {
        value.map { range.contains(Int128($0.millionths)) } ?? false
    }

    package func holds(_ memory: Memory, at instant: Instant) -> Bool {
        passes(value(source.inside(memory, at: instant)))
    }

    package func nextChange(_ memory: Memory, after instant: Instant) -> Instant? {
        source.nextChange(memory, after: instant, from: holds(memory, at: instant)) { inside in
            inside.indices.map { passes(inside[($0 + 1)...].first?.amount) }
        }
    }

    package func explain(_ memory: Memory, at instant: Instant) -> Explanation {
        let inside = source.inside(memory, at: instant)
        let value = value(inside)
        return Explanation(
            condition: .object([Self.key: json]), holds: passes(value), text: text,
            events: inside.first { $0.amount == value }.map { [$0] } ?? [],
            details: value.map { [Self.key: .string($0.text)] } ?? [:]
        )
        .with(value.map { range.finding(Int128($0.millionths)) } ?? Finding(text: "there are no values"))
    }

    package var text: String {
        "\(Self.key) of \(property.words) over \(source.events.name) \(range.text)\(source.window.text)"
            + source.events.filterText
    }

    package var json: JSON {
        .object(
            source.members.merging(["property": .string(property.text)]) { $1 }
                .merging(range.members) { $1 })
    }
}
