import Models

/// Events that a condition remembers together, and no longer one by one: where nothing ever leaves the window, a sum, an
/// average or a ratio needs no more of them, and evidence no more of those that it does not list.
package struct Tally: Hashable, Sendable {
    private(set) var events: Int
    /// How many of them are of the second kind, for a condition about two.
    private(set) var base: Int
    /// Of how many values the total is.
    private(set) var values: Int
    /// In millionths.
    private(set) var total: Int128
    private(set) var minimum: Amount?
    private(set) var maximum: Amount?
    /// The first and the last of them.
    private(set) var first: Occurrence
    private(set) var last: Occurrence
    /// Hashes of those that were added latest, so that one that comes again is known.
    private(set) var recent: [UInt64]

    /// How many are known when they come again.
    package static let recognised = 1_000

    init(
        events: Int, base: Int, values: Int, total: Int128, minimum: Amount?, maximum: Amount?,
        first: Occurrence, last: Occurrence, recent: [UInt64] = []
    ) {
        self.recent = recent
        (self.events, self.base, self.values, self.total) = (events, base, values, total)
        (self.minimum, self.maximum) = (minimum, maximum)
        (self.first, self.last) = (first, last)
    }

    /// Of one event.
    init(_ occurrence: Occurrence) {
        let place = Occurrence(of: occurrence)
        self.init(
            events: 1, base: occurrence.number == 1 ? 1 : 0, values: occurrence.number ?? 1,
            total: Int128(occurrence.amount?.millionths ?? 0), minimum: occurrence.amount,
            maximum: occurrence.amount, first: place, last: place)
    }

    mutating func add(_ other: Tally) {
        events += other.events
        base += other.base
        values += other.values
        total += other.total
        minimum = [minimum, other.minimum].compactMap { $0 }.min()
        maximum = [maximum, other.maximum].compactMap { $0 }.max()
        first = min(first, other.first)
        last = max(last, other.last)
    }

    /// Has events known when they come again: those that were added.
    fileprivate mutating func remember(_ occurrences: ArraySlice<Occurrence>) {
        recent += occurrences.suffix(Self.recognised).map(\.hash)
        if recent.count > Self.recognised { recent.removeFirst(recent.count - Self.recognised) }
    }

    /// Whether it is one of those that were added latest.
    fileprivate func recognises(_ occurrence: Occurrence) -> Bool {
        !(last < occurrence) && recent.contains(occurrence.hash)
    }

    /// Of some events; nil of none.
    static func of(_ occurrences: ArraySlice<Occurrence>) -> Tally? {
        guard let first = occurrences.first else { return nil }
        return occurrences.dropFirst().reduce(into: Tally(first)) { $0.add(Tally($1)) }
    }
}

extension Occurrence {
    fileprivate var hash: UInt64 {
        StableHash.hash64(messageID, "\(at.milliseconds)", number.map { "\($0)" } ?? "", group ?? "")
    }
}

extension Memory {
    /// Whether an event is remembered together with others, as far as these are known one by one.
    func hasTallied(_ occurrence: Occurrence) -> Bool { tally?.recognises(occurrence) ?? false }

    /// Remembers only the latest events one by one, and the others together. For a window that nothing ever leaves.
    mutating func tallyUp(beyond limit: Int = Explanation.listedEvents) {
        // Of so many that are not remembered together an earlier version has kept the latest alone.
        if tally == nil, cut == nil, occurrences.count > RuleLimits.occurrences {
            cut = Occurrence(of: occurrences[0])
        }
        let start = UnlistedEvents.beginning(of: occurrences, listing: limit)
        let earlier = occurrences[..<start]
        guard var others = Tally.of(earlier) else { return }
        if var tally {
            tally.add(others)
            others = tally
        }
        others.remember(earlier)
        tally = others
        occurrences.removeFirst(start)
    }
}
