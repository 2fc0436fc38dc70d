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

    init(
        events: Int, base: Int, values: Int, total: Int128, minimum: Amount?, maximum: Amount?,
        first: Occurrence, last: Occurrence
    ) {
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

    /// Of some events; nil of none.
    static func of(_ occurrences: ArraySlice<Occurrence>) -> Tally? {
        guard let first = occurrences.first else { return nil }
        return occurrences.dropFirst().reduce(into: Tally(first)) { $0.add(Tally($1)) }
    }
}

extension Memory {
    /// Remembers only the latest events one by one, and the others together. For a window that nothing ever leaves.
    mutating func tallyUp(beyond limit: Int = Explanation.listedEvents) {
        let start = UnlistedEvents.beginning(of: occurrences, listing: limit)
        guard let others = Tally.of(occurrences[..<start]) else { return }
        occurrences.removeFirst(start)
        if var tally {
            tally.add(others)
            self.tally = tally
        } else {
            tally = others
        }
    }
}
