import Models

/// As much of an event as a computed trait needs.
struct TraitOccurrence: Sendable {
    let event: Occurrence
    /// Of the numbers of the property: the total, how many they are, and the least or the greatest.
    var total: Int128 = 0
    var numbers = 0
    var extreme: Amount?
    /// The values of the property, each once.
    var values: [JSON] = []

    var at: Instant { event.at }
}

/// What a trait comes to by some events. What it says of the present is said of an instant only when it is asked for.
struct TraitStanding: Hashable, Sendable {
    var value: JSON
    /// The event from which days are counted.
    var since: Instant?
    /// What a model of RFM scores.
    var orders: Orders?

    struct Orders: Hashable, Sendable {
        var frequency: Int
        var monetary: Amount
    }
}

/// Adds events up, the latest first.
struct TraitTally: Sendable {
    private let trait: ComputedTrait
    private var count = 0
    private var total: Int128 = 0
    private var numbers = 0
    private var extreme: Amount?
    private var groups: [String: Group] = [:]
    private var favourite: Group?
    private var earliest: TraitOccurrence?
    private var latest: TraitOccurrence?

    private struct Group: Sendable {
        let value: JSON
        /// Which of the values it was by its latest event, counted from the latest.
        let rank: Int
        var count = 0
    }

    init(_ trait: ComputedTrait) { self.trait = trait }

    mutating func add(_ occurrence: TraitOccurrence) {
        count += 1
        if latest == nil { latest = occurrence }
        earliest = occurrence
        switch trait.kind {
        case .sum, .average, .averageOrderValue, .rfm:
            total += occurrence.total
            numbers += occurrence.numbers
        case .minimum: extreme = [extreme, occurrence.extreme].compactMap { $0 }.min()
        case .maximum: extreme = [extreme, occurrence.extreme].compactMap { $0 }.max()
        case .distinct, .mostFrequent: for value in occurrence.values { add(value) }
        default: break
        }
    }

    /// Adds events that are remembered together, all of them earlier than those that never leave.
    mutating func add(_ others: Tally) {
        count += others.events
        total += others.total
        numbers += others.values
        switch trait.kind {
        case .minimum: extreme = [extreme, others.minimum].compactMap { $0 }.min()
        case .maximum: extreme = [extreme, others.maximum].compactMap { $0 }.max()
        default: break
        }
    }

    private mutating func add(_ value: JSON) {
        let key = value.string ?? value.compact
        var group = groups[key] ?? Group(value: value, rank: groups.count)
        group.count += 1
        groups[key] = group
        guard let best = favourite else {
            favourite = group
            return
        }
        if (group.count, best.rank) > (best.count, group.rank) || group.rank == best.rank {
            favourite = group
        }
    }

    var standing: TraitStanding {
        func text(_ millionths: Int128) -> JSON {
            .string(Amount(millionths: Int64(clamping: millionths)).text)
        }
        func instant(_ occurrence: TraitOccurrence?) -> JSON {
            occurrence.map { .string($0.at.rfc3339) } ?? .null
        }
        let value: JSON
        var since: Instant?
        var orders: TraitStanding.Orders?
        switch trait.kind {
        case .count: value = .integer(Int64(count))
        case .sum: value = text(total)
        case .average: value = numbers == 0 ? .null : text(total / Int128(numbers))
        case .averageOrderValue: value = count == 0 ? .null : text(total / Int128(count))
        case .minimum, .maximum: value = extreme.map { .string($0.text) } ?? .null
        case .distinct: value = .integer(Int64(groups.count))
        case .mostFrequent: value = favourite?.value ?? .null
        case .first: value = earliest?.values.first ?? .null
        case .last: value = latest?.values.last ?? .null
        case .firstTime: value = instant(earliest)
        case .lastTime: value = instant(latest)
        case .daysSinceFirst:
            value = instant(earliest)
            since = earliest?.at
        case .daysSinceLast:
            value = instant(latest)
            since = latest?.at
        case .rfm:
            value = count == 0 ? .null : ["frequency": .integer(Int64(count)), "monetary": text(total)]
            since = latest?.at
            orders = TraitStanding.Orders(
                frequency: count, monetary: Amount(millionths: Int64(clamping: total)))
        }
        return TraitStanding(value: value, since: since, orders: orders)
    }
}

extension ComputedTrait {
    /// What an event brings; nil for nothing.
    func occurrence(of event: TrackingEvent, spans: Spans, at instant: Instant) -> TraitOccurrence? {
        var occurrence = TraitOccurrence(event: Occurrence(event, at: instant, spans: spans))
        guard let property else { return occurrence }
        let found = property.values(in: event.properties)
        switch kind {
        case .sum, .average, .averageOrderValue, .minimum, .maximum, .rfm:
            let amounts = found.compactMap { Amount($0) }
            // An order without an amount is one all the same.
            guard !amounts.isEmpty || kind == .rfm else { return nil }
            occurrence.total = amounts.reduce(into: 0) { $0 += Int128($1.millionths) }
            occurrence.numbers = amounts.count
            occurrence.extreme = kind == .minimum ? amounts.min() : amounts.max()
        case .distinct:
            occurrence.values = PropertyPath.groups(of: found).map { .string($0) }
        case .mostFrequent:
            var seen: Set<String> = []
            occurrence.values = found.compactMap(\.shown).filter {
                seen.insert($0.string ?? $0.compact).inserted
            }
            .prefix(100).sorted { ($0.string ?? $0.compact).precedesInUTF8($1.string ?? $1.compact) }
        case .first: occurrence.values = found.lazy.compactMap(\.shown).first.map { [$0] } ?? []
        case .last: occurrence.values = found.reversed().lazy.compactMap(\.shown).first.map { [$0] } ?? []
        default: break
        }
        switch kind {
        case .distinct, .mostFrequent, .first, .last: return occurrence.values.isEmpty ? nil : occurrence
        default: return occurrence
        }
    }

    /// What a standing says at an instant.
    func value(_ standing: TraitStanding, at now: Instant) -> JSON {
        guard let since = standing.since else { return standing.value }
        let days = JSON.integer(days(since, at: now))
        guard kind == .rfm else { return days }
        var members = standing.value.object ?? [:]
        members["recencyDays"] = days
        guard model != nil else { return .object(members) }
        let scores = edition.flatMap { edition in
            standing.orders.map {
                edition.scores(
                    RFMStanding(recency: now - since, frequency: $0.frequency, monetary: $0.monetary))
            }
        }
        members["scores"] = scores?.json ?? .null
        members["segment"] = scores.flatMap { RFMSegment($0) }.map { .string($0.rawValue) } ?? .null
        members["edition"] = edition.map { .integer(Int64($0.number)) } ?? .null
        return .object(members)
    }

    func days(_ since: Instant, at now: Instant) -> Int64 {
        if let zone { return max(0, zone.day(of: now) - zone.day(of: since)) }
        return max(0, (now - since).milliseconds / 86_400_000)
    }

    /// The next instant after this one at which a standing says something else.
    func nextTick(_ standing: TraitStanding, after now: Instant) -> Instant? {
        let aged = standing.since.flatMap { since in
            edition?.recency.map { since + $0 }.filter { $0 > now && $0 < .distantFuture }.min()
        }
        return [nextDay(standing, after: now), aged].compactMap { $0 }.min()
    }

    private func nextDay(_ standing: TraitStanding, after now: Instant) -> Instant? {
        guard let since = standing.since else { return nil }
        let next: Instant
        if let zone {
            next = zone.start(ofDay: zone.day(of: now) + 1)
        } else {
            next = since + .milliseconds((days(since, at: now) + 1) * 86_400_000)
        }
        return next < .distantFuture ? next : nil
    }
}

extension JSON {
    /// A value as it is handed out: text, numbers, true and false alone.
    fileprivate var shown: JSON? {
        if let text = string {
            let most = ComputedTraitLimits.textLength
            return text.utf8.count > most && text.count > most ? .string("\(text.prefix(most))…") : self
        }
        return number != nil || bool != nil ? self : nil
    }
}
