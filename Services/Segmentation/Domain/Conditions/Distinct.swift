package import Models

/// How many different values of a property there were in a window, or ever if there is none:
/// `{"distinct": {"event": "Product Viewed", "property": "category", "within": "7d", "atLeast": 3}}`.
///
/// Of a list (`products[].sku`) each of the first 100 values counts. Text and a number that reads the same are one value.
/// The latest event of each value is remembered, and of those only as many as the answer can depend on.
package struct Distinct: LeafOperator {
    package static let key = "distinct"

    package let source: WindowedEvents
    package let property: PropertyPath
    package let times: Times

    init(_ field: RuleField) throws(RuleProblem) {
        try field.allow(WindowedEvents.keys + ["property"] + Times.keys)
        source = try WindowedEvents(field)
        property = try PropertyPath(field.required("property", "the property whose values are counted"))
        times = try Times(in: field)
    }

    package var keeps: String? { source.events.isTimed ? latest() : nil }
    package var lookback: Window { source.window }
    package var interest: Interest { .selectors([source.events]) }

    package func remember(
        _ event: TrackingEvent, at instant: Instant, decided: Instant, in memory: inout Memory
    ) -> Bool {
        guard let spans = source.spans(of: event, at: instant, decided: decided) else { return false }
        var changed = false
        for value in property.groups(in: event.properties) {
            let occurrence = Occurrence(event, at: instant, group: value, spans: spans)
            if !source.events.isTimed {
                let known = memory.occurrences.firstIndex { $0.group == value }
                if let known {
                    guard memory.occurrences[known] < occurrence else { continue }
                    memory.occurrences.remove(at: known)
                }
            }
            if source.insert(occurrence, decided: decided, into: &memory) { changed = true }
        }
        // What is later than so many others can never matter less than they do.
        if changed, !source.events.isTimed { memory.keep(times.needed) }
        return changed
    }

    private func count(_ inside: ArraySlice<Occurrence>) -> Int {
        source.events.isTimed ? Set(inside.map(\.group)).count : inside.count
    }

    package func holds(_ memory: Memory, at instant: Instant) -> Bool {
        times.contains(count(source.inside(memory, at: instant)))
    }

    package func nextChange(_ memory: Memory, after instant: Instant) -> Instant? {
        source.nextChange(memory, after: instant, from: holds(memory, at: instant)) { inside in
            (0..<inside.count).map { times.contains(inside.count - $0 - 1) }
        }
    }

    package func explain(_ memory: Memory, at instant: Instant) -> Explanation {
        let inside = source.inside(memory, at: instant)
        return Explanation(
            condition: .object([Self.key: json]), holds: times.contains(count(inside)), text: text,
            events: Array(inside), unlisted: .told, details: ["count": .integer(Int64(count(inside)))]
        )
        .with(times.finding(count(inside), "value", "values"))
    }

    package var text: String {
        "distinct \(property.words) over \(source.events.name) \(times.words("value", "values"))"
            + "\(source.window.text)\(source.events.filterText)"
    }

    package var json: JSON {
        .object(
            source.members.merging(["property": .string(property.text)]) { $1 }
                .merging(times.members) { $1 })
    }
}
