package import Models

/// Changes that would have been, with no more of their evidence than what caused them; of very many the latest.
///
/// Full evidence holds on to what the rules remembered at the time, so it is let go of at once.
package struct HistoryInShort {
    /// The most changes that are kept: they go into one stream record, which every reader must be able to take.
    package static let limit = 1_000

    package private(set) var changes: [MembershipChange] = []
    /// The segments of which changes were left out, and how many in all.
    package private(set) var incomplete: Set<String> = []
    package private(set) var leftOut = 0
    private let since: Instant

    init(since: Instant) { self.since = since }

    mutating func note(_ change: MembershipChange) {
        guard change.at >= since, SegmentDefinition.isValid(id: change.segment) else { return }
        var change = change
        change.evidence = change.change == .entered ? Evidence.inShort(change.evidence) : [:]
        changes.append(change)
        // In bulk, as the front of a list is dear to take away.
        if changes.count >= 2 * Self.limit { shorten() }
    }

    /// Leaves out the oldest beyond the limit.
    package mutating func shorten() {
        let surplus = changes.count - Self.limit
        guard surplus > 0 else { return }
        incomplete.formUnion(changes[..<surplus].map(\.segment))
        leftOut += surplus
        changes.removeFirst(surplus)
    }
}
