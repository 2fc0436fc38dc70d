package import Models

/// How a score is made up: points for events, which decay from the instant on at which they were earned.
///
/// `{"events": [{"event": "Product Viewed", "weight": 1, "perDay": 5}, {"event": "Order Completed", "weight": 20}],
/// "halfLife": "7d", "maximum": 100}`.
///
/// What it comes to at T is a function of the events up to T alone, so it is the same in whatever order they arrive. With
/// D(p, dt) for what is left of p points after dt (`HalfLife`), t the time of the latest event that counts, and e₁ … eₙ
/// those of a kind of the weight w in ascending order:
///
/// - a kind has Σ D(w, t − eᵢ). With a cap c it has the least of that and, for each j, D(c, t − eⱼ) + Σ D(w, t − eᵢ) over
///   i > j: which is what adding w at each event and stopping at c comes to.
/// - the score is D(the sum of the kinds, T − t), but no more than the maximum.
///
/// So between two events it goes towards 0 and never back, and passes each number at one instant.
package struct Scoring: LeafOperator {
    package static let key = "scoring"

    package let events: [ScoredEvents]
    package let halfLife: HalfLife?
    package let maximum: Amount?
    /// Where days are counted.
    package let zone: CivilZone
    /// What is older than the latest event by more than this has nothing left; nil if it never comes to that.
    private let silence: Duration?

    /// The members that say it.
    package static let keys = ["events", "halfLife", "maximum", "zone"]

    package init(_ field: RuleField) throws(RuleProblem) {
        var events: [ScoredEvents] = []
        let listed = try field.required("events", "a list of events with their weights")
        for element in try listed.elements(1...ScoreLimits.events, of: "events with their weights") {
            events.append(try ScoredEvents(element))
        }
        self.events = events
        halfLife = try field.optional("halfLife").map { field throws(RuleProblem) in
            HalfLife(try field.window())
        }
        maximum = try field.optional("maximum").map { field throws(RuleProblem) in
            try field.positivePoints()
        }
        zone = field.optional("zone") == nil ? .utc : try field.zone()
        let reach = events.map(\.reach).max() ?? .zero
        silence = halfLife?.silence(after: reach)
    }

    package var interest: Interest { .selectors(events.map(\.events)) }

    package var keeps: String? { nil }

    /// What is kept of the events of a kind, where it is not all that can have anything left.
    func keeps(_ number: Int) -> String? {
        guard let perDay = events[number].perDay else { return latest() }
        let days = Self.days(perDay)
        // The day that the silence begins in and the latest one are counted besides.
        if let silence, silence.milliseconds / 86_400_000 + 2 <= days { return nil }
        return "an exact answer needs all days with such events, however many; of each profile the latest "
            + "\(days.grouped) are kept"
    }

    /// Of how many days the events of a kind with a limit are kept.
    private static func days(_ perDay: Int) -> Int { max(1, ScoreLimits.occurrences / perDay) }

    // MARK: Remembering

    package func remember(
        _ event: TrackingEvent, at instant: Instant, decided: Instant, in memory: inout Memory
    ) -> Bool {
        var changed = false
        for (number, kind) in events.enumerated() where kind.events.matches(event) {
            if insert(Occurrence(event, at: instant, number: number), in: &memory) {
                changed = true
            }
        }
        return changed
    }

    private func insert(_ occurrence: Occurrence, in memory: inout Memory) -> Bool {
        if let beginning = beginning(of: memory), occurrence.at < beginning { return false }
        guard memory.insert(occurrence) else { return false }
        let kind = events[occurrence.number ?? 0]
        if let perDay = kind.perDay {
            keep(perDay, with: occurrence, in: &memory)
        } else if memory.occurrences.count > ScoreLimits.occurrences {
            let own = memory.occurrences.indices.filter {
                memory.occurrences[$0].number == occurrence.number
            }
            if own.count > ScoreLimits.occurrences { memory.occurrences.remove(at: own[0]) }
        }
        if let beginning = beginning(of: memory) {
            memory.occurrences.removeFirst(memory.occurrences.prefix { $0.at < beginning }.count)
        }
        return true
    }

    /// From when on events can still have something left: the beginning of a day, since those of one decide together
    /// which of them count. Nil if all can.
    private func beginning(of memory: Memory) -> Instant? {
        guard let silence, let first = memory.occurrences.first, let latest = memory.occurrences.last,
            latest.at - silence > first.at
        else { return nil }
        return zone.start(ofDay: zone.day(of: latest.at - silence))
    }

    /// Keeps the first events of the day that one is in, and the latest days.
    private func keep(_ perDay: Int, with occurrence: Occurrence, in memory: inout Memory) {
        let day = zone.day(of: occurrence.at)
        let (beginning, end) = (zone.start(ofDay: day), zone.start(ofDay: day + 1))
        let own = Self.indices(from: beginning, to: end, in: memory).filter {
            memory.occurrences[$0].number == occurrence.number
        }
        if own.count > perDay { memory.occurrences.remove(at: own[perDay]) }
        let most = Self.days(perDay)
        guard own.count == 1, memory.occurrences.count > most else { return }
        var days: [Instant] = []
        for other in memory.occurrences.reversed() where other.number == occurrence.number {
            if let latest = days.last, other.at >= latest { continue }
            days.append(zone.start(ofDay: zone.day(of: other.at)))
        }
        guard days.count > most else { return }
        let oldest = days[most - 1]
        memory.occurrences.removeAll { $0.number == occurrence.number && $0.at < oldest }
    }

    private static func indices(from beginning: Instant, to end: Instant, in memory: Memory) -> Range<Int> {
        let window = Window.since(.instant(beginning))
        let first = window.firstIndex(of: memory.occurrences, at: end)
        return first..<(memory.occurrences[first...].firstIndex { $0.at >= end } ?? memory.occurrences.count)
    }

    // MARK: Adding up

    /// What the events up to an instant come to.
    package func standing(_ memory: Memory, at instant: Instant) -> ScoreStanding {
        standing(memory, at: instant, asOf: nil)
    }

    /// The same, with what is left at another instant than the latest event's.
    func standing(_ memory: Memory, at instant: Instant, asOf time: Instant?) -> ScoreStanding {
        var counted = memory.occurrences[...]
        while let last = counted.last, last.at > instant { counted.removeLast() }
        let latest = time ?? counted.last?.at ?? instant
        var sums = events.map { _ in Points.zero }
        var least: [Points?] = events.map { _ in nil }
        var counts = events.map { _ in 0 }
        for occurrence in counted.reversed() {
            let number = occurrence.number ?? 0
            guard events.indices.contains(number) else { continue }
            let (kind, age) = (events[number], latest - occurrence.at)
            if let cap = kind.cap {
                let full = decay(Points(cap), over: age) + sums[number]
                least[number] = min(least[number] ?? full, full)
            }
            sums[number] = sums[number] + decay(Points(kind.magnitude), over: age)
            counts[number] += 1
        }
        return ScoreStanding(
            at: latest, halfLife: halfLife, maximum: maximum.map { Points($0) },
            parts: events.indices.map { number in
                let points = min(sums[number], least[number] ?? sums[number])
                return ScoreStanding.Part(
                    points: events[number].weight.millionths < 0 ? -points : points, count: counts[number])
            })
    }

    private func decay(_ points: Points, over elapsed: Duration) -> Points {
        halfLife?.decay(points, over: elapsed) ?? points
    }

    // MARK: Nobody is in a score

    package func holds(_ memory: Memory, at instant: Instant) -> Bool { false }
    package func nextChange(_ memory: Memory, after instant: Instant) -> Instant? { nil }
    package func explain(_ memory: Memory, at instant: Instant) -> Explanation {
        Explanation(condition: .object([Self.key: json]), holds: false, text: text)
    }

    package var text: String {
        let decay = halfLife.map { "; half of it is left after \($0.length.words)" } ?? ""
        let most = maximum.map { "; \($0.text) at most" } ?? ""
        return events.map(\.text).joined(separator: ", ") + decay + most
    }

    package var json: JSON {
        var members: [String: JSON] = ["events": .array(events.map(\.json))]
        members["halfLife"] = halfLife.map { .string($0.length.text) }
        members["maximum"] = maximum?.json
        if zone != .utc { members["zone"] = .string(zone.name) }
        return .object(members)
    }
}
