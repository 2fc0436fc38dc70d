package import Models

/// Folds a profile's history, event by event in any order, into what the conditions in force need and its state does not
/// remember: so that no more of a long history than one event has to be held.
package struct HistoryFold: Sendable {
    private let set: SegmentSet
    /// The slots of the conditions that need the history.
    private let missing: Set<Int>
    /// From when on answers are needed.
    private let decided: Instant
    private(set) var memories: [Int: Memory] = [:]

    init(_ set: SegmentSet, missing: Set<Int>, decided: Instant) {
        self.set = set
        self.missing = missing
        self.decided = decided
    }

    /// Takes in an event that the state includes.
    package mutating func take(_ event: TrackingEvent) {
        let at = SegmentDecider.instant(of: event)
        for slot in set.slots(for: event) where missing.contains(slot) {
            _ = set.conditions[slot].remember(
                event, at: at, decided: decided, in: &memories[slot, default: Memory()])
            if memories[slot]?.isEmpty == true { memories[slot] = nil }
        }
    }

    /// Which events it has to be shown; nil for all.
    package var events: [WantedEvents]? {
        var wanted: Set<WantedEvents> = []
        for slot in missing {
            guard let own = set.conditions[slot].interest.events else { return nil }
            wanted.formUnion(own)
        }
        return Array(wanted)
    }
}

/// Events of a kind, of one name or of any.
package struct WantedEvents: Hashable, Sendable {
    package let kind: TrackingEvent.Kind
    package let name: String?
}

extension Interest {
    /// The events by kind and name; nil if others may matter as well.
    fileprivate var events: [WantedEvents]? {
        switch self {
        case .selectors(let selectors):
            selectors.flatMap { selector in
                selector.names.map { $0.map { WantedEvents(kind: selector.kind, name: $0) } }
                    ?? [WantedEvents(kind: selector.kind, name: nil)]
            }
        case .trait: [WantedEvents(kind: .identify, name: nil)]
        case .account: [WantedEvents(kind: .group, name: nil)]
        case .references, .consent: []
        case .identifier, .context: nil
        }
    }
}
