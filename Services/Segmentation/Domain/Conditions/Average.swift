package import Models

/// The mean of a property over a window, or ever if there is none:
/// `{"average": {"event": "Order Completed", "property": "total", "within": "365d", "atLeast": 50}}`.
///
/// Numbers and decimal strings count, anything else is left out; of a list (`products[].price`) each value counts. It is
/// compared exactly, without rounding. It does not hold where there are no values.
package struct Average: LeafOperator {
    package static let key = "average"

    package let source: WindowedEvents
    package let property: PropertyPath
    package let range: AmountRange

    init(_ field: RuleField) throws(RuleProblem) {
        try field.allow(WindowedEvents.keys + ["property"] + AmountRange.keys)
        source = try WindowedEvents(field)
        property = try PropertyPath(field.required("property", "the property to take the average of"))
        range = try AmountRange(in: field)
    }

    package var keeps: String? { source.isLasting ? nil : latest() }
    package var lookback: Window { source.window }
    package var interest: Interest { .selectors([source.events]) }

    package func remember(
        _ event: TrackingEvent, at instant: Instant, decided: Instant, in memory: inout Memory
    ) -> Bool {
        guard let spans = source.spans(of: event, at: instant, decided: decided) else { return false }
        let amounts = property.values(in: event.properties).compactMap { Amount($0) }
        guard !amounts.isEmpty else { return false }
        let total = amounts.reduce(into: Int128(0)) { $0 += Int128($1.millionths) }
        let occurrence = Occurrence(
            event, at: instant, amount: Amount(millionths: Int64(clamping: total)),
            spans: spans, number: amounts.count == 1 ? nil : amounts.count)
        return source.insert(occurrence, decided: decided, adds: true, into: &memory)
    }

    /// A total and of how many values it is.
    private struct Mean {
        var total: Int128 = 0
        var count = 0

        mutating func add(_ occurrence: Occurrence, times sign: Int = 1) {
            total += Int128(occurrence.amount?.millionths ?? 0) * Int128(sign)
            count += (occurrence.number ?? 1) * sign
        }
    }

    private func mean(_ memory: Memory, at instant: Instant) -> Mean {
        let others = Mean(total: memory.tally?.total ?? 0, count: memory.tally?.values ?? 0)
        return source.inside(memory, at: instant).reduce(into: others) { $0.add($1) }
    }

    private func passes(_ mean: Mean) -> Bool {
        mean.count > 0 && range.contains(mean.total, over: mean.count)
    }

    package func holds(_ memory: Memory, at instant: Instant) -> Bool { passes(mean(memory, at: instant)) }

    package func nextChange(_ memory: Memory, after instant: Instant) -> Instant? {
        var left = mean(memory, at: instant)
        return source.nextChange(memory, after: instant, from: passes(left)) { inside in
            inside.map { occurrence in
                left.add(occurrence, times: -1)
                return passes(left)
            }
        }
    }

    package func explain(_ memory: Memory, at instant: Instant) -> Explanation {
        let mean = mean(memory, at: instant)
        var details: [String: JSON] = ["values": .integer(Int64(mean.count))]
        if mean.count > 0 {
            details["average"] = .string(
                Amount(millionths: Int64(clamping: mean.total / Int128(mean.count))).text)
        }
        return Explanation(
            condition: .object([Self.key: json]), holds: passes(mean), text: text,
            events: Array(source.inside(memory, at: instant)), tally: memory.tally, unlisted: .added,
            details: details
        )
        .with(
            mean.count == 0
                ? Finding(text: "there are no values") : range.finding(mean.total, over: mean.count))
    }

    package var text: String {
        "average of \(property.words) over \(source.events.name) \(range.text)\(source.window.text)"
            + source.events.filterText
    }

    package var json: JSON {
        .object(
            source.members.merging(["property": .string(property.text)]) { $1 }
                .merging(range.members) { $1 })
    }
}
