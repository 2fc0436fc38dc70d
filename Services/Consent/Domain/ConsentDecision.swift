package import Models

/// The standing decision of a person on one purpose, and the entry that proves it.
package struct ConsentDecision: Hashable, Sendable {
    package let state: ConsentChange.State
    package let at: Instant
    package let entry: LedgerEntryID

    package init(state: ConsentChange.State, at: Instant, entry: LedgerEntryID) {
        self.state = state
        self.at = at
        self.entry = entry
    }

    package init(_ entry: LedgerEntry) {
        self.init(state: entry.action.state, at: entry.occurredAt, entry: entry.id)
    }

    /// Whether this one stands against `other`: the more recent by occurrence; at the same instant a withdrawal.
    ///
    /// A total order, so that any sequence of arrivals, and any way of merging profiles, ends in the same
    /// decision. Of two that say the same at the same instant the later entry is cited.
    package func prevails(over other: ConsentDecision) -> Bool {
        if at != other.at { return at > other.at }
        if state != other.state { return state == .withdrawn }
        return entry > other.entry
    }
}

/// The decision on `purpose` at `now`: a fold over the ledger, whatever the order of the entries.
package func consentState(
    _ entries: some Sequence<LedgerEntry>, purpose: String, now: Instant
) -> ConsentDecision? {
    var standing: ConsentDecision?
    for entry in entries where entry.purpose == purpose && entry.occurredAt <= now {
        standing = mergedConsent(standing, ConsentDecision(entry))
    }
    return standing
}

/// The decision of a person whose two profiles turned out to be one.
package func mergedConsent(_ a: ConsentDecision?, _ b: ConsentDecision?) -> ConsentDecision? {
    guard let a, let b else { return a ?? b }
    return a.prevails(over: b) ? a : b
}
