package import Models

/// A comparison with the value of a computed trait: `{"computedTrait": {"id": "favourite-category", "equals": "shoes"}}`.
///
/// How the trait is worked out is written into the rule when it is stored (`definition`), and with each new version of the
/// trait the rule gets another version. The value at an instant is the trait's own, worked out by the same code from what is
/// remembered: the events that count, as far as the value can rest on them. It is nothing, which no comparison but
/// `notEquals`, `notIn` and `"exists": false` holds for, where the trait has no value. Without a definition it holds for nobody.
/// Of a text of more than 200 bytes the beginning is compared.
package struct TraitOfEvents: LeafOperator {
    package static let key = "computedTrait"

    package let id: String
    package let comparison: Comparison
    /// Nil before the rule is stored.
    package let trait: ComputedTrait?

    init(_ field: RuleField) throws(RuleProblem) {
        try field.allow(["id", "definition"] + Comparison.members)
        let named = try field.required("id", "the id of a computed trait")
        guard let id = named.json.string, SegmentDefinition.isValid(id: id) else {
            throw named.problem("the id of a computed trait")
        }
        self.id = id
        comparison = try Comparison(in: field)
        trait = try field.optional("definition").map { field throws(RuleProblem) in
            let trait = try ComputedTrait(field)
            guard trait.isComparable else { throw field.problem(Self.comparable) }
            return trait
        }
    }

    /// What a trait must be for rules to look at it.
    package static let comparable =
        "a computed trait with one value; what \"rfm\" says the condition rfm asks for"

    package var keeps: String? {
        guard let trait else { return nil }
        if !trait.source.events.isTimed {
            if trait.kind.asksForLast || trait.kind.asksForFirst && !trait.source.window.moves { return nil }
            if trait.kind.addsUp, trait.source.isLasting { return nil }
        }
        return latest()
    }

    package var lookback: Window { trait?.source.window ?? .ever }
    package var interest: Interest { .selectors(trait.map { [$0.source.events] } ?? []) }

    package func remember(
        _ event: TrackingEvent, at instant: Instant, decided: Instant, in memory: inout Memory
    ) -> Bool {
        guard let trait, let spans = trait.source.spans(of: event, at: instant, decided: decided),
            let found = trait.occurrence(of: event, spans: spans, at: instant)
        else { return false }
        var changed = false
        for occurrence in trait.remembered(found, of: event, spans: spans) {
            if trait.source.insert(occurrence, decided: decided, adds: trait.kind.addsUp, into: &memory) {
                changed = true
            }
        }
        if changed, !trait.source.events.isTimed {
            // The last event is the last in any window; the first is as long as none leaves it.
            if trait.kind.asksForLast {
                memory.occurrences = Array(memory.occurrences.suffix(1))
            } else if trait.kind.asksForFirst, !trait.source.window.moves {
                memory.occurrences = Array(memory.occurrences.prefix(1))
            }
        }
        return changed
    }

    /// The trait's value, as a comparison takes it: nothing or one.
    private func values(_ memory: Memory, at instant: Instant) -> [JSON] {
        guard let trait else { return [] }
        var tally = TraitTally(trait)
        for (occurrence, _) in trait.events(trait.source.inside(memory, at: instant)).reversed() {
            tally.add(occurrence)
        }
        if let earlier = memory.tally { tally.add(earlier) }
        return trait.values(tally.standing, at: instant)
    }

    private func passes(_ values: [JSON], at instant: Instant) -> Bool {
        comparison.isTimed
            ? comparison.spans(for: values).contains(instant) : comparison.holds(for: values)
    }

    package func holds(_ memory: Memory, at instant: Instant) -> Bool {
        trait != nil && passes(values(memory, at: instant), at: instant)
    }

    package func nextChange(_ memory: Memory, after instant: Instant) -> Instant? {
        guard let trait else { return nil }
        guard comparison.isTimed || trait.kind.counts else {
            return trait.source.nextChange(memory, after: instant, from: holds(memory, at: instant)) {
                truths(of: $0, trait, at: instant)
            }
        }
        // What is said of the present changes as well while the events stay what they are.
        let ticks: Instant?
        if trait.kind.counts {
            var tally = TraitTally(trait)
            for (occurrence, _) in trait.events(trait.source.inside(memory, at: instant)).reversed() {
                tally.add(occurrence)
            }
            if let earlier = memory.tally { tally.add(earlier) }
            ticks = tally.standing.since.flatMap { trait.nextDay(of: comparison, since: $0, after: instant) }
        } else {
            ticks = comparison.spans(for: values(memory, at: instant)).nextBoundary(after: instant)
        }
        let boundary = memory.nextBoundary(
            of: trait.source.window, after: instant, isTimed: trait.source.events.isTimed)
        return [ticks, boundary].compactMap { $0 }.min()
    }

    /// The truth of what is left when the first, the second, … of those inside has gone; an event that stands there for
    /// several values goes with all of them.
    private func truths(of inside: ArraySlice<Occurrence>, _ trait: ComputedTrait, at instant: Instant)
        -> [Bool]
    {
        var tally = TraitTally(trait)
        var truths: [Bool] = []
        truths.reserveCapacity(inside.count)
        for (occurrence, places) in trait.events(inside).reversed() {
            let left = passes(trait.values(tally.standing, at: instant), at: instant)
            truths += repeatElement(left, count: places)
            tally.add(occurrence)
        }
        return truths.reversed()
    }

    package func explain(_ memory: Memory, at instant: Instant) -> Explanation {
        let values = values(memory, at: instant)
        let events = trait.map { Array($0.source.inside(memory, at: instant)) } ?? []
        return Explanation(
            condition: .object([Self.key: json]), holds: holds(memory, at: instant), text: text,
            events: events, tally: memory.tally, details: trait == nil ? [:] : ["values": .array(values)]
        )
        .with(comparison.finding(of: values))
    }

    package var text: String { "computed trait \(RuleWords.name(id)) \(comparison.text)" }

    package var json: JSON {
        var members = comparison.members
        members["id"] = .string(id)
        members["definition"] = trait?.json
        return .object(members)
    }
}

extension ComputedTrait {
    /// Whether rules can look at it: whether it has one value.
    package var isComparable: Bool { kind != .rfm }

    /// As much of an event as is remembered of it: of values one place for each.
    fileprivate func remembered(_ found: TraitOccurrence, of event: TrackingEvent, spans: Spans)
        -> [Occurrence]
    {
        guard found.values.isEmpty else {
            return found.values.map {
                Occurrence(event, at: found.at, group: $0.remembered.compact, spans: spans)
            }
        }
        let amount: Amount? =
            switch kind {
            case .sum, .average, .averageOrderValue: Amount(millionths: Int64(clamping: found.total))
            case .minimum, .maximum: found.extreme
            default: nil
            }
        let numbers = kind == .average && found.numbers != 1 ? found.numbers : nil
        return [Occurrence(event, at: found.at, amount: amount, spans: spans, number: numbers)]
    }

    /// The events of places that are remembered, each with how many of the places are its own.
    fileprivate func events(_ places: ArraySlice<Occurrence>) -> [(event: TraitOccurrence, places: Int)] {
        var events: [(event: TraitOccurrence, places: Int)] = []
        events.reserveCapacity(places.count)
        for place in places {
            let value = place.group.flatMap { try? JSONParser.parse(Array($0.utf8)[...]) }
            if let value, let last = events.last?.event.event, last.at == place.at,
                last.messageID == place.messageID
            {
                events[events.count - 1].event.values.append(value)
                events[events.count - 1].places += 1
                continue
            }
            var event = TraitOccurrence(event: place)
            event.values = value.map { [$0] } ?? []
            event.total = Int128(place.amount?.millionths ?? 0)
            event.numbers = place.number ?? 1
            event.extreme = place.amount
            events.append((event, 1))
        }
        guard kind == .mostFrequent else { return events }
        for index in events.indices where events[index].places > 1 {
            events[index].event.values.sort {
                ($0.string ?? $0.compact).precedesInUTF8($1.string ?? $1.compact)
            }
        }
        return events
    }

    /// What a standing says at an instant, as a comparison takes it.
    fileprivate func values(_ standing: TraitStanding, at instant: Instant) -> [JSON] {
        let value = value(standing, at: instant)
        return value.isNull ? [] : [value]
    }

    /// The next instant at which the days since then come to a number that a comparison names, or go past it.
    fileprivate func nextDay(of comparison: Comparison, since: Instant, after now: Instant) -> Instant? {
        let today = days(since, at: now)
        let day = comparison.numbers.flatMap { number -> [Int64] in
            let floor = number.millionths >= 0 ? number.millionths / 1_000_000 : -1
            return [floor, floor + 1]
        }
        .filter { $0 > today }.min()
        guard let day else { return nil }
        let start: Instant
        if let zone {
            start = zone.start(ofDay: zone.day(of: since) + day)
        } else {
            let (length, isTooLong) = day.multipliedReportingOverflow(by: 86_400_000)
            guard !isTooLong else { return nil }
            start = since + .milliseconds(length)
        }
        return start > now && start < .distantFuture ? start : nil
    }
}

extension JSON {
    /// A value as rules remember it: of a long text the beginning, told apart by a hash.
    fileprivate var remembered: JSON {
        guard let text = string, text.utf8.count > RuleLimits.nameLength else { return self }
        return .string("\(text.prefix(50))…\(String(StableHash.hash64(text), radix: 16))")
    }
}

extension ComputedTrait.Kind {
    /// Whether it counts days up to the present.
    fileprivate var counts: Bool { self == .daysSinceFirst || self == .daysSinceLast }
    fileprivate var asksForLast: Bool { self == .last || self == .lastTime || self == .daysSinceLast }
    fileprivate var asksForFirst: Bool { self == .first || self == .firstTime || self == .daysSinceFirst }

    /// Whether events that never leave a window can be remembered together.
    fileprivate var addsUp: Bool {
        switch self {
        case .count, .sum, .average, .averageOrderValue, .minimum, .maximum: true
        default: false
        }
    }
}

extension Comparison {
    /// The numbers that it compares with.
    fileprivate var numbers: [Amount] {
        switch self {
        case .equals(let value), .notEquals(let value): [value].compactMap { Amount($0) }
        case .isIn(let values), .notIn(let values): values.compactMap { Amount($0) }
        case .greaterThan(.number(let amount)), .atLeast(.number(let amount)),
            .lessThan(.number(let amount)), .atMost(.number(let amount)):
            [amount]
        case .ignoringCase(let written, _): written.numbers
        default: []
        }
    }

    /// The same as a range of amounts, if it is one.
    private var range: AmountRange? {
        switch self {
        case .greaterThan(.number(let amount)): .greaterThan(amount)
        case .atLeast(.number(let amount)): .atLeast(amount)
        case .lessThan(.number(let amount)): .lessThan(amount)
        case .atMost(.number(let amount)): .atMost(amount)
        case .equals(let value): value.number == nil ? nil : Amount(value).map { .exactly($0) }
        default: nil
        }
    }

    /// What it found, and of numbers by how much that is not what it asks.
    fileprivate func finding(of values: [JSON]) -> Finding {
        guard let range, values.count == 1, let amount = Amount(values[0]) else { return values.finding }
        return range.finding(Int128(amount.millionths))
    }
}

extension Condition {
    /// The computed traits that a rule looks at, each with its place.
    package func computedTraits(at path: RulePath = RulePath()) -> [(id: String, path: RulePath)] {
        switch kind {
        case .leaf(let leaf):
            guard let own = leaf as? TraitOfEvents else { return [] }
            return [(own.id, path.appending(TraitOfEvents.key).appending("id"))]
        case .group(let group):
            let path = path.appending(type(of: group).key)
            return group.conditions.enumerated().flatMap { index, condition in
                condition.computedTraits(at: group is Not ? path : path.appending("\(index)"))
            }
        }
    }

    /// The same rule with the definitions that are chosen for each trait and the definition that is there.
    package func withComputedTraits(
        _ choose: (String, JSON?) -> JSON?
    ) throws(InvalidRule) -> Condition {
        try RuleReader.read(
            Self.rewritten(json) { key, payload in
                guard key == TraitOfEvents.key, var members = payload.object, let id = members["id"]?.string
                else { return payload }
                members["definition"] = choose(id, members["definition"])
                return .object(members)
            })
    }
}
