package import Models

/// The total of a property over a window, or ever if there is none:
/// `{"sum": {"event": "Order Completed", "property": "total", "within": "365d", "atLeast": 1000}}`.
///
/// Numbers and decimal strings count, anything else is left out; of a list (`products[].price`) all are added. Sums
/// are exact to a millionth. Without events the sum is 0.
package struct Sum: LeafOperator {
    package static let key = "sum"

    package let events: EventSelector
    package let property: PropertyPath
    package let window: Window
    package let range: AmountRange

    init(_ field: RuleField) throws(RuleProblem) {
        try field.allow(EventSelector.keys + Window.keys + ["property"] + AmountRange.keys)
        events = try EventSelector(field)
        property = try PropertyPath(field.required("property", "the property to add up"))
        window = try Window(in: field)
        range = try AmountRange(in: field)
    }

    /// Whether the events need not be remembered one by one.
    private var isLasting: Bool { !window.moves && !events.isTimed }

    package var keeps: String? { isLasting ? nil : latest() }
    package var lookback: Window { window }
    package var interest: Interest { .selectors([events]) }

    package func remember(
        _ event: TrackingEvent, at instant: Instant, decided: Instant, in memory: inout Memory
    ) -> Bool {
        guard let spans = events.spans(of: event) else { return false }
        memory.forget(before: decided, window: window)
        guard window.contains(instant, at: decided) else { return false }
        let amounts = property.values(in: event.properties).compactMap { Amount($0) }
        guard !amounts.isEmpty else { return false }
        let total = amounts.reduce(into: Int128(0)) { $0 += Int128($1.millionths) }
        let amount = Amount(millionths: Int64(clamping: total))
        let isNew = memory.insert(
            Occurrence(event, at: instant, amount: amount, spans: spans))
        if isLasting { memory.tallyUp() } else { memory.keep() }
        return isNew
    }

    package func holds(_ memory: Memory, at instant: Instant) -> Bool {
        passes(total(memory, at: instant))
    }

    private func total(_ memory: Memory, at instant: Instant) -> Int128 {
        (memory.tally?.total ?? 0)
            + total(memory.inside(window, at: instant, isTimed: events.isTimed))
    }

    package func nextChange(_ memory: Memory, after instant: Instant) -> Instant? {
        if events.isTimed { return memory.nextBoundary(of: window, after: instant, isTimed: true) }
        guard window.moves else { return nil }
        let inside = memory.inside(window, at: instant, isTimed: events.isTimed)
        var total = total(inside)
        let now = passes(total)
        for (index, occurrence) in zip(inside.indices, inside) {
            total -= Int128(occurrence.amount?.millionths ?? 0)
            // Events at the same instant leave together.
            let next = inside.index(after: index)
            if next < inside.endIndex, window.end(of: inside[next].at) == window.end(of: occurrence.at) {
                continue
            }
            if passes(total) != now { return window.end(of: occurrence.at) }
        }
        return nil
    }

    private func passes(_ total: Int128) -> Bool { range.contains(total) }

    private func total(_ occurrences: ArraySlice<Occurrence>) -> Int128 {
        occurrences.reduce(into: 0) { $0 += Int128($1.amount?.millionths ?? 0) }
    }

    package func explain(_ memory: Memory, at instant: Instant) -> Explanation {
        let inside = memory.inside(window, at: instant, isTimed: events.isTimed)
        let total = Amount(millionths: Int64(clamping: total(memory, at: instant)))
        return Explanation(
            condition: .object([Self.key: json]), holds: holds(memory, at: instant), text: text,
            events: Array(inside), tally: memory.tally, unlisted: .added,
            details: ["sum": .string(total.text)]
        )
        .with(range.finding(Int128(total.millionths)))
    }

    package var text: String {
        "sum of \(property.words) over \(events.name) \(range.text)\(window.text)\(events.filterText)"
    }

    package var json: JSON {
        .object(
            events.members.merging(window.members) { $1 }
                .merging(["property": .string(property.text)]) { $1 }.merging(range.members) { $1 })
    }
}
